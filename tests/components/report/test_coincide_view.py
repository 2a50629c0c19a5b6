import pyarrow as pa

from components import schemas
from components.report.coincide_view import SHOWN, coincide_view
from components.report.inputs import CoincideEvidence
from components.report.task_rows import task_rows
from tests.components.report.html_page import Page
from tests.components.report.synthetic import make_inputs
from tests.components.report.test_methods import page_of


def evidence(clusters: int) -> CoincideEvidence:
    rows = [
        {"cluster": c, "size": 4, "transferability": 0.4, "density": 0.6, "share": (c + 1) / 2000, "quota": c % 5}
        for c in range(clusters)
    ]
    return CoincideEvidence(pa.Table.from_pylist(rows, schema=schemas.CONCEPT_SHARES))


def selection_of(members: list[tuple[int, str]]) -> pa.Table:
    rows = [
        dict.fromkeys(schemas.SELECTION.names) | {"sample_id": f"{task}/{index}", "cluster": cluster, "task": task}
        for index, (cluster, task) in enumerate(members)
    ]
    return pa.Table.from_pylist(rows, schema=schemas.SELECTION)


def test_the_tasks_of_a_cluster():
    tasks = task_rows(make_inputs())
    selection = selection_of([(0, "color"), (0, "chart"), (0, "color"), (0, "color"), (1, "chart")])
    view = coincide_view(tasks, evidence(3), selection)
    assert view is not None
    third, second, first = view.rows
    assert third.mix == ()
    assert [(part.start, part.width, part.title) for part in second.mix] == [(0, 100, "chart: 1 of 1")]
    assert {part.title: part.width for part in first.mix} == {"color: 3 of 4": 75, "chart: 1 of 4": 25}
    starts = [part.start for part in first.mix]
    assert starts == sorted(starts)
    assert {part.colour for part in first.mix} == {row.colour for row in tasks if row.task in ("color", "chart")}
    assert view.tasks == tuple((row.task, row.colour) for row in tasks)


def test_the_smallest_shares_are_summed_up():
    view = coincide_view(task_rows(make_inputs()), evidence(60), selection_of([(0, "color")]))
    assert view is not None
    assert len(view.rows) == SHOWN == 25
    assert view.rows[0].cluster == "59"
    assert view.others == "35 more clusters with 140 samples got 70 picks between them."
    assert "12 were taken whole and 12 got nothing" in view.summary
    assert [row.taken for row in view.rows[:2]] == ["100\u202f%", "75\u202f%"]


def test_passed_over_pictures_carry_no_place_in_the_order_of_picks():
    page = page_of("coincide")
    Page(page)
    assert "<b>#0</b>" not in page
    assert "rank 0" not in page
