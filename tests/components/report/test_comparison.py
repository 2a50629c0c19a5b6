import math

import pyarrow as pa
import pytest

from components.report.comparison import (
    ComparisonInputs,
    build_comparison,
    conclusion,
    noise_between_seeds,
    strategy_rows,
)
from components.report.inputs import Lineage
from components.schemas import COMPARISON

AVERAGES = {"presel": (0.60, 0.62), "tive": (0.61, 0.59), "random": (0.40, 0.42), "full": (0.70, 0.70)}


def comparison(averages=None):
    rows = [
        {
            "strategy": strategy,
            "seed": seed,
            "average": value,
            "relative": 100 * value / 0.7,
            "instructions": 450,
            "cost_usd": 9.0,
            "images": 450,
            "selection_seconds": 12.0,
            "tuning_seconds": 34.0,
            "sets": [{"set": "color & <b>", "score": value}, {"set": "shape", "score": value}],
        }
        for strategy, values in (AVERAGES if averages is None else averages).items()
        for seed, value in enumerate(values)
    ]
    return pa.Table.from_pylist(rows, schema=COMPARISON)


def page_of(table):
    return build_comparison(ComparisonInputs(table, 0.05, "15%", 3000, Lineage(created_at="2025-01-01 00:00 UTC")))


def test_means_over_seeds():
    rows = strategy_rows(comparison())
    assert [row.strategy for row in rows] == list(AVERAGES)
    assert rows[0].average == pytest.approx(0.61)
    assert rows[0].averages == (0.60, 0.62)
    assert rows[0].relative == pytest.approx(100 * 0.61 / 0.7)
    assert dict(rows[0].sets)["shape"] == pytest.approx(0.61)


def test_noise_is_the_pooled_deviation_between_seeds():
    rows = strategy_rows(comparison())
    assert noise_between_seeds(rows) == pytest.approx(math.sqrt((3 * 2e-4 + 0) / 4))
    assert math.isnan(noise_between_seeds(strategy_rows(comparison({"presel": (0.6,), "random": (0.5,)}))))


def test_the_conclusion_claims_no_more_than_the_seeds_allow():
    text = conclusion(strategy_rows(comparison()))
    assert "presel is highest, and tive cannot be told from it" in text
    assert "random" not in text
    assert "full" not in text
    ahead = conclusion(strategy_rows(comparison({"presel": (0.60, 0.61), "random": (0.40, 0.41)})))
    assert "presel is ahead of all others" in ahead
    assert "say nothing" in conclusion(strategy_rows(comparison({"presel": (0.9,), "random": (0.1,)})))


def test_the_page_shows_every_row_and_escapes_names():
    page = page_of(comparison())
    for strategy in AVERAGES:
        assert f">{strategy}</th>" in page
    assert "61.0" in page
    assert "<b>" not in page.split("<main>")[1]
    assert "color &amp; &lt;b&gt;" in page
    assert "http" not in page.split("<style>")[0].replace("http-equiv", "")
    assert "<script" not in page


def test_without_a_full_tune_there_is_no_rel():
    table = comparison({"presel": (0.6, 0.5)})
    table = table.set_column(3, COMPARISON.field("relative"), pa.nulls(2, pa.float64()))
    assert '<td class="number">\u2013</td>' in page_of(table)
