"""The uniform-task control on the report's page."""

from components.report.strategy_report import StrategyReport

REPORT = StrategyReport(title="the uniform-task control", chosen="at random, the same number from every task")
