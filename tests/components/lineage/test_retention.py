"""The policy: what it lets go, and what it never does."""

import pytest

from components.lineage.retention import DatedRun, Decision, Item, decide_by_age, decide_runs, group_items
from components.parameters.parameters import RetentionParameters

DAY = 86_400_000
NOW = 1000 * DAY


def decide(runs: list[DatedRun], *, registered: set[str] | None = None, days: float = 30, count: int = 2) -> set[str]:
    """Ids of the runs that go."""
    retention = RetentionParameters(days=days, runs=count)
    decisions = decide_runs(runs, registered=registered or set(), retention=retention, now_ms=NOW)
    assert decisions.keys() == {run.run_id for run in runs}
    return {run_id for run_id, decision in decisions.items() if decision.goes}


def run(run_id: str, age: float, *, workspace: str = ".", status: str = "FINISHED") -> DatedRun:
    return DatedRun(run_id, workspace, NOW - int(age * DAY), status)


def test_old_runs_beyond_the_newest_go() -> None:
    assert decide([run("a", 100), run("b", 90), run("c", 80), run("d", 70)]) == {"a", "b"}


def test_young_runs_stay_however_many_there_are() -> None:
    assert decide([run(str(age), age) for age in range(20, 35)]) == {str(age) for age in range(30, 35)}


def test_a_run_of_a_registered_model_stays() -> None:
    assert decide([run("a", 100), run("b", 90), run("c", 80)], registered={"a"}) == set()


def test_the_newest_and_the_newest_finished_run_of_every_workspace_stay() -> None:
    runs = [run("f", 99, status="FAILED"), run("g", 100), run("h", 101), run("other", 500, workspace="runs/x")]
    assert decide(runs, days=0, count=1) == {"h"}


@pytest.mark.parametrize("status", ["RUNNING", "SCHEDULED"])
def test_a_run_that_has_not_ended_stays(status: str) -> None:
    assert decide([run("a", 1), run("b", 900, status=status)], days=0, count=1) == set()


def test_age_decides_about_what_nothing_needs() -> None:
    retention = RetentionParameters(days=10, runs=1)
    young = decide_by_age(NOW - 9 * DAY, retention=retention, now_ms=NOW, unused="x")
    assert young == Decision(False, "younger than 10 days")
    assert decide_by_age(NOW - 11 * DAY, retention=retention, now_ms=NOW, unused="x") == Decision(True, "x")


def test_groups_count_and_add_up() -> None:
    goes, stays = Decision(True, "old"), Decision(False, "used")
    items = [Item("a", "1", 5, stays), Item("b", "2", 7, goes), Item("a", "3", 11, goes), Item("a", "4", 13, goes)]
    groups = [(group.kind, group.decision.goes, group.count, group.size) for group in group_items(items)]
    assert groups == [("a", True, 2, 24), ("a", False, 1, 5), ("b", True, 1, 7)]
