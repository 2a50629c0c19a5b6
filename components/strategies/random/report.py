"""The random control on the report's page."""

from components.report.strategy_report import StrategyReport

REPORT = StrategyReport(title="the random control", chosen="uniformly at random")
