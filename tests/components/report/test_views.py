import base64
import io
import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from components import money, schemas
from components.report import number_text
from components.report.allocation_view import allocation_view, rounding_text
from components.report.benchmark_comparison import differences
from components.report.cluster_grids import cluster_grids, grid_clusters_of
from components.report.geometry import evenly_spaced, linear_axis
from components.report.importance_view import importance_view
from components.report.inputs import BenchmarkRun, MapCoordinates
from components.report.map_view import map_view
from components.report.task_rows import task_rows
from components.report.thumbnails import ThumbnailFormat, make_thumbnail, thumbnail_format
from tests.components.report.synthetic import make_inputs
from tests.components.report.synthetic_pool import draw_image


def allocation_table(rows: list[tuple[str, int, int, int, float, int]]) -> pa.Table:
    columns = zip(*rows, strict=True)
    return pa.table(dict(zip(schemas.ALLOCATION.names, columns, strict=True)), schemas.ALLOCATION)


def benchmark_run(name: str, scores: list[float], *, metric: float | None = None, turns: int = 1) -> BenchmarkRun:
    rows = len(scores)
    predictions = pa.table(
        {
            "set": ["s"] * rows,
            "record_id": [str(index // turns) for index in range(rows)],
            "turn": [index % turns for index in range(rows)],
            "image": [""] * rows,
            "question": ["?"] * rows,
            "references": [["a"]] * rows,
            "prediction": ["a" if score else "b" for score in scores],
            "score": scores,
        },
        schemas.PREDICTIONS,
    )
    score = float(np.mean(scores)) if metric is None else metric
    metrics = pa.table(
        {"set": ["s"], "metric": ["exact_match"], "score": [score], "questions": [rows], "left_out": [0]},
        schemas.METRICS,
    )
    return BenchmarkRun(name, metrics, predictions)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (number_text.count(1234567), "1,234,567"),
        (number_text.percent(0.1234), "12.3\u202f%"),
        (number_text.percent(0.0), "0.0\u202f%"),
        (number_text.percent(0.0001), "< 0.1\u202f%"),
        (number_text.percent(math.nan), "\u2013"),
        (number_text.signed_points(0.094), "+9.4"),
        (number_text.signed_points(-0.094), "\u22129.4"),
        (number_text.signed_points(-0.0001), "0.0"),
        (money.dollars(0.0034), "$0.0034"),
        (money.dollars(9.06), "$9.06"),
        (money.dollars(12345.6), "$12,346"),
        (number_text.duration(4.21), "4.2 s"),
        (number_text.duration(185), "3 min 05 s"),
        (number_text.duration(7800), "2 h 10 min"),
        (number_text.quantity(1, "image"), "1 image"),
    ],
)
def test_numbers_read_well(text, expected):
    assert text == expected


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.integers(2, 8))
def test_axis_covers_its_values_with_few_round_ticks(low, span, ticks):
    axis = linear_axis(low, low + span, ticks=ticks)
    near = 1e-6 * max(1, abs(low), span)
    assert axis.low <= low + near
    assert axis.high >= low + span - near
    assert axis.ticks[0].position == 0
    assert axis.ticks[-1].position == 100
    assert 2 <= len(axis.ticks) <= ticks + 3
    assert 0 <= axis.place(low + span / 2) <= 100


def test_axis_labels_are_the_values_of_the_ticks():
    labels = [tick.label for tick in linear_axis(0.0, 1.1).ticks]
    assert labels == ["0.00", "0.25", "0.50", "0.75", "1.00", "1.25"]


@given(st.integers(0, 300), st.integers(1, 40))
def test_evenly_spaced_indices_are_distinct_and_reach_both_ends(count, wanted):
    chosen = list(evenly_spaced(count, wanted))
    assert len(chosen) == len(set(chosen)) == min(count, wanted)
    assert chosen == sorted(chosen)
    if count > 1 and wanted > 1:
        assert (chosen[0], chosen[-1]) == (0, count - 1)


def test_differences_keep_the_questions_of_a_record_together():
    """Ten records of four questions that stand or fall together tell as much as ten questions."""
    tuned, random = ([1.0] * 4 * right + [0.0] * 4 * (10 - right) for right in (7, 4))
    apart = differences(benchmark_run("tuned", tuned), benchmark_run("random", random), ("s",)).average
    together = differences(
        benchmark_run("tuned", tuned, turns=4), benchmark_run("random", random, turns=4), ("s",)
    ).average
    single = differences(benchmark_run("tuned", tuned[::4]), benchmark_run("random", random[::4]), ("s",)).average
    assert apart is not None
    assert together is not None
    assert single is not None
    assert apart.difference == together.difference == pytest.approx(0.3)
    assert (together.low, together.high) == pytest.approx((single.low, single.high))
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_sets_that_one_model_has_no_score_for_have_no_difference():
    found = differences(benchmark_run("tuned", [1, 0]), benchmark_run("random", [1, 0], metric=math.nan), ())
    assert (found.average, found.sets) == (None, {})


def test_rounding_sentence_counts_what_the_floor_loses():
    table = allocation_table([("a", 0, 50, 45, 3.7, 4), ("a", 1, 20, 18, 1.6, 2), ("b", 0, 9, 9, 1.7, 1)])
    text = rounding_text(table)
    assert "asks for 7 images from 3 clusters" in text
    assert "would place 5 of them and leave 2 (28.6\u202f%) unspent." in text
    assert text.endswith("place 7: nothing stays unspent.")


def test_rounding_sentence_says_when_images_are_scarce_and_budget_remains():
    text = rounding_text(allocation_table([("a", 0, 5, 4, 7.0, 4), ("b", 0, 50, 40, 3.0, 3)]))
    assert "would place 7 of them and leave 3 (30.0\u202f%) unspent, 3 of them because" in text
    assert text.endswith("place 7: 3 stay unspent.")


def test_floor_keeps_whole_shares_that_floats_miss():
    assert "would place 100 of them and leave 0 unspent" in rounding_text(
        allocation_table([("a", 0, 500, 400, 99.99999999997, 100)])
    )


def test_strips_merge_the_smallest_clusters_without_losing_images():
    rows = [("caption", index, 200 - index, 150, 2.0, 2) for index in range(100)]
    inputs = make_inputs()
    strip = next(strip for strip in allocation_view(task_rows(inputs), allocation_table(rows)).strips if strip.blocks)
    assert len(strip.blocks) == 40
    assert strip.blocks[-1].title == (
        f"the 61 smallest clusters: {sum(200 - index for index in range(39, 100)):,} images, 122 to pick"
    )
    assert sum(block.width for block in strip.blocks) == pytest.approx(100, abs=0.1)
    assert strip.blocks[-1].start + strip.blocks[-1].width == pytest.approx(100, abs=0.01)


def test_tasks_are_in_order_of_weight_and_scores_in_order_of_importance():
    inputs = make_inputs()
    rows = task_rows(inputs)
    assert [row.weight for row in rows] == sorted((row.weight for row in rows), reverse=True)
    view = importance_view(rows, inputs.scores)
    assert view is not None
    means = [row.mean for row in view.rows]
    assert means == sorted(means), "the more important a task, the lower its score"
    assert all(row.tenth <= row.quarter <= row.three_quarters <= row.ninetieth for row in view.rows)
    assert sum(row.picked for row in rows) == round(0.15 * inputs.samples.num_rows)


def test_only_the_largest_tasks_have_colours_of_their_own():
    rows = task_rows(make_inputs({f"t{i}": (40 + i, 0.5) for i in range(12)}, sets=()))
    assert {row.task for row in rows if row.colour >= 0} == {f"t{i}" for i in range(4, 12)}


def test_grids_take_turns_between_tasks_and_show_the_border_of_the_quota():
    inputs = make_inputs()
    tasks = task_rows(inputs)
    clusters = grid_clusters_of(inputs.selection, tasks, 9)
    assert [task for task, _ in clusters[:7]] == [row.task for row in tasks]
    grids = cluster_grids(inputs, tasks, clusters, grid_images=5, image_loader=draw_image, size=ThumbnailFormat(32, 70))
    selection = {row["sample_id"]: row for row in inputs.selection.to_pylist()}
    for grid in grids:
        picked = [selection[tile.sample_id] for tile in grid.picked]
        passed = [selection[tile.sample_id] for tile in grid.passed]
        assert [row["rank"] for row in picked] == list(range(1, len(picked) + 1))
        assert all(row["picked"] for row in picked)
        assert passed[0]["rank"] == passed[0]["quota"] + 1
        assert not any(row["picked"] or row["is_reference"] for row in passed)
        assert {row["task"] for row in picked + passed} == {grid.task}


def test_map_keeps_distances_in_proportion_and_inside_the_frame():
    inputs = make_inputs({"only": (40, 0.5)}, sets=())
    corners = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 3.0], [0.0, 3.0]])
    ids = tuple(inputs.samples["sample_id"].to_pylist()[:4])
    view = map_view(replace(inputs, map_coordinates=MapCoordinates(ids, corners)), task_rows(inputs), map_points=100)
    assert view is not None
    x, y = np.array(view.data.x), np.array(view.data.y)
    assert (x[1] - x[0]) / (y[1] - y[2]) == pytest.approx(4 / 3, rel=0.01)
    assert x.min() >= 0
    assert x.max() <= view.width
    assert y.min() >= 0
    assert y.max() <= view.height
    assert y[2] < y[1], "up on the plane is up on the page"


def test_map_is_thinned_alike_for_every_order_of_the_samples():
    inputs = make_inputs()
    coordinates = inputs.map_coordinates
    assert coordinates is not None
    backwards = MapCoordinates(coordinates.sample_ids[::-1], coordinates.points[::-1])
    views = [
        map_view(replace(inputs, map_coordinates=order), task_rows(inputs), map_points=200)
        for order in (coordinates, backwards)
    ]
    assert views[0] is not None
    assert views[1] is not None
    assert len(views[0].data.ids) == 200
    assert set(views[0].data.ids) == set(views[1].data.ids)


def test_one_point_still_makes_a_map():
    inputs = make_inputs({"only": (40, 0.5)}, sets=())
    ids = tuple(inputs.samples["sample_id"].to_pylist()[:1])
    view = map_view(
        replace(inputs, map_coordinates=MapCoordinates(ids, np.zeros((1, 2)))), task_rows(inputs), map_points=9
    )
    assert view is not None
    assert (view.data.x, view.data.y) == ((500,), (view.height // 2,))


def test_coordinates_must_match_the_samples():
    with pytest.raises(ValueError, match=r"shape \(3, 2\); 2 sample ids need \(2, 2\)"):
        MapCoordinates(("a", "b"), np.zeros((3, 2)))


def test_thumbnails_fit_and_are_not_enlarged():
    small, large = Image.new("RGBA", (20, 10)), Image.new("L", (400, 200))
    size = ThumbnailFormat(96, 80)
    images = {"small": small, "large": large}
    for uri, expected in (("small", (20, 10)), ("large", (96, 48))):
        thumbnail = make_thumbnail(uri, "", image_loader=lambda uri, sha: images[uri], size=size)
        assert thumbnail.data_uri.startswith("data:image/jpeg;base64,")
        assert decoded_size(thumbnail.data_uri) == expected


def test_more_thumbnails_are_smaller():
    edges = [thumbnail_format(number).edge for number in (0, 200, 201, 1500, 10_000)]
    assert edges == sorted(edges, reverse=True)
    assert edges[0] > edges[-1]


def decoded_size(data_uri: str) -> tuple[int, int]:
    return Image.open(io.BytesIO(base64.b64decode(data_uri.split(",", 1)[1]))).size
