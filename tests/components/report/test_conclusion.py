"""What the comparison says of its differences, and what it draws of what they take."""

import pytest

from components.report.comparison import StrategyRow, conclusion, strategy_rows
from tests.components.report.html_page import Page
from tests.components.report.test_comparison import comparison, page_of


def rows_of(averages: dict[str, tuple[float, ...]]) -> tuple[StrategyRow, ...]:
    return strategy_rows(comparison(averages))


def test_two_seeds_tell_less_apart_than_the_normal_distribution_would():
    # Pooled deviation 0.01 * sqrt(2), 2 degrees of freedom: t = 4.303, so 6.1 points; the normal's would be 2.8.
    text = conclusion(rows_of({"presel": (0.60, 0.62), "random": (0.55, 0.57)}))
    assert "moves by 1.4 points (standard deviation, from 4 runs)" in text
    assert "less than about 6.1 points apart" in text
    assert "random cannot be told from it" in text


def test_more_seeds_tell_the_same_difference_apart():
    text = conclusion(rows_of({"presel": (0.60, 0.62) * 3, "random": (0.55, 0.57) * 3}))
    assert "presel is ahead of all others" in text


@pytest.mark.parametrize("averages", [{"presel": (0.6, 0.62)}, {"presel": (0.6, 0.62), "full": (0.7, 0.7)}])
def test_nothing_is_ranked_where_there_is_nothing_to_compare_with(averages):
    text = conclusion(rows_of(averages))
    assert "standard deviation" in text
    assert "highest" not in text
    assert "ahead" not in text


def test_equal_results_are_not_told_apart():
    assert "random cannot be told from it" in conclusion(rows_of({"presel": (0.5, 0.5), "random": (0.5, 0.5)}))


def test_the_page_draws_every_strategy_against_its_instructions():
    page = page_of(comparison())
    Page(page)  # tags balance
    chart = page.split('id="needs"')[1].split("</section>")[0]
    for strategy in ("presel", "tive", "random", "full"):
        assert f">{strategy}</span>" in chart
    assert chart.count('class="mean"') == 4
    assert chart.count('class="seed"') == 8


def test_the_full_tune_is_not_ranked_among_those_that_keep_to_the_budget():
    text = conclusion(rows_of({"presel": (0.60, 0.61), "random": (0.40, 0.41), "full": (0.90, 0.91)}))
    assert "Within the budget, presel is ahead of all others" in text
