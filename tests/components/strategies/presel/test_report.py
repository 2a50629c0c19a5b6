import pyarrow as pa
import pytest

from components import schemas
from components.report.strategy_report import Section
from components.report.task_rows import task_rows
from components.strategies.presel.quotas import quotas
from components.strategies.presel.report import Importance, PreselEvidence, importance_section
from tests.components.report.html_page import Page
from tests.components.report.synthetic import make_inputs
from tests.components.report.test_report import build


def allocation_table(rows: list[tuple[str, int, int, int, float, int]]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table(dict(zip(schemas.ALLOCATION.names, columns, strict=True)), schemas.ALLOCATION)


@pytest.mark.parametrize(
    ("rows", "asked", "floor", "beyond", "placed"),
    [
        ([("a", 0, 50, 45, 3.7, 4), ("a", 1, 20, 18, 1.6, 2), ("b", 0, 9, 9, 1.7, 1)], 7, 5, 0, 7),
        ([("a", 0, 5, 4, 7.0, 4), ("b", 0, 50, 40, 3.0, 3)], 10, 7, 3, 7),
        ([("a", 0, 500, 400, 99.99999999997, 100)], 100, 100, 0, 100),
    ],
    ids=["the floor loses some", "clusters hold too few", "a whole share that floats miss"],
)
def test_what_rounding_does_to_the_budget(rows, asked, floor, beyond, placed):
    found = quotas((), allocation_table(rows))
    assert (found.asked, found.floor, found.beyond, found.placed) == (asked, floor, beyond, placed)


def test_strips_merge_the_smallest_clusters_without_losing_images():
    rows = [("caption", index, 200 - index, 150, 2.0, 2) for index in range(100)]
    (strip,) = quotas(task_rows(make_inputs()), allocation_table(rows)).strips
    assert len(strip.blocks) == 40
    last = strip.blocks[-1]
    assert (last.cluster, last.clusters) == (-1, 61)
    assert (last.images, last.quota) == (sum(200 - index for index in range(39, 100)), 122)
    assert sum(block.width for block in strip.blocks) == pytest.approx(100, abs=0.1)
    assert last.start + last.width == pytest.approx(100, abs=0.01)
    assert (strip.clusters, strip.quota) == (100, 200)
    assert strip.rate == pytest.approx(200 / 15000)


def test_the_more_important_a_task_the_lower_its_score():
    inputs = make_inputs()
    evidence = inputs.evidence
    assert isinstance(evidence, PreselEvidence)
    section = importance_section(task_rows(inputs), evidence.scores, evidence.importance)
    assert isinstance(section, Section)
    assert isinstance(section.numbers, Importance)
    scores = [task.score for task in section.numbers.tasks]
    assert scores == sorted(scores)
    for task in section.numbers.tasks:
        assert task.spread.tenth <= task.spread.quarter <= task.spread.three_quarters <= task.spread.ninetieth


def test_the_page_says_what_each_task_is_worth_and_what_its_clusters_get():
    inputs = make_inputs()
    evidence = inputs.evidence
    assert isinstance(evidence, PreselEvidence)
    words = Page(build(inputs)).words().replace("\u202f", " ")
    for row in evidence.importance.to_pylist():
        assert f"{row['task']} {row['score']:.3f} {100 * row['weight']:.1f} %" in words
    found = quotas(task_rows(inputs), evidence.allocation)
    lost = found.asked - found.floor
    assert f"Eq. 6 asks for {found.asked} images from {found.clusters} clusters." in words
    assert f"leave {lost} ({100 * lost / found.asked:.1f} %) unspent" in words
    assert f"place {found.placed}: nothing stays unspent." in words
    for strip in found.strips:
        assert f"{strip.quota} {strip.clusters} clusters, {100 * strip.rate:.1f} %" in words
