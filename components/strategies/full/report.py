"""The full-pool control on the report's page."""

from components.report.strategy_report import StrategyReport

REPORT = StrategyReport(title="the full-pool control", chosen="because this run takes the whole pool")
