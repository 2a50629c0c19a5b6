import pyarrow as pa

from components import schemas
from components.report.task_rows import task_rows
from components.strategies.coincide.report import SHOWN, concepts
from tests.components.report.html_page import Page
from tests.components.report.synthetic import make_inputs
from tests.components.report.test_methods import page_of


def shares(clusters: int) -> pa.Table:
    rows = [
        {"cluster": c, "size": 4, "transferability": 0.4, "density": 0.6, "share": (c + 1) / 2000, "quota": c % 5}
        for c in range(clusters)
    ]
    return pa.Table.from_pylist(rows, schema=schemas.CONCEPT_SHARES)


def selection_of(members: list[tuple[int, str]]) -> pa.Table:
    rows = [
        dict.fromkeys(schemas.SELECTION.names) | {"sample_id": f"{task}/{index}", "cluster": cluster, "task": task}
        for index, (cluster, task) in enumerate(members)
    ]
    return pa.Table.from_pylist(rows, schema=schemas.SELECTION)


def test_the_tasks_of_a_cluster():
    tasks = task_rows(make_inputs())
    selection = selection_of([(0, "color"), (0, "chart"), (0, "color"), (0, "color"), (1, "chart")])
    found = concepts(shares(3), selection, tasks)
    third, second, first = found.shown
    assert third.mix == ()
    assert [(part.name, part.number, part.start, part.width) for part in second.mix] == [("chart", 1, 0, 100)]
    assert {part.name: part.width for part in first.mix} == {"color": 75, "chart": 25}
    starts = [part.start for part in first.mix]
    assert starts == sorted(starts)
    assert found.colours == {row.task: row.colour for row in tasks}


def test_the_smallest_shares_are_summed_up():
    found = concepts(shares(60), selection_of([(0, "color")]), task_rows(make_inputs()))
    assert len(found.shown) == SHOWN == 25
    assert found.shown[0].cluster == 59
    assert (found.more, found.more_samples, found.more_picks) == (35, 140, 70)
    assert (found.clusters, found.whole, found.nothing) == (60, 12, 12)


def test_the_page_says_what_became_of_the_clusters():
    words = Page(page_of("coincide")).words()
    assert "Of 30 clusters, 3 were taken whole and 27 got nothing." in words
    assert "5 more clusters with 50 samples got 0 picks between them." in words
    assert " 0.400 0.600 3.33 % 10 100 %" in words


def test_passed_over_pictures_carry_no_place_in_the_order_of_picks():
    page = page_of("coincide")
    Page(page)
    assert "<b>#0</b>" not in page
    assert "rank 0" not in page
