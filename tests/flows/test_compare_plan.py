"""What is wrong with a comparison is said before anything runs."""

import pytest

from components.parameters.parameters import ParameterError
from flows.compare import plan_comparison


def test_a_comparison_without_a_benchmark_is_refused_at_the_start() -> None:
    with pytest.raises(ParameterError, match=r"benchmark\.sets is empty"):
        plan_comparison(
            ("presel", "random"), budget=None, seeds=1, overlays=(), settings=["benchmark.sets=[]"], name="a"
        )


def test_every_strategy_and_seed_is_a_run_of_its_own() -> None:
    planned = plan_comparison(("presel", "random"), budget="10%", seeds=2, overlays=(), settings=["seed=5"], name="a")
    assert list(planned) == [("presel", 5), ("random", 5), ("presel", 6), ("random", 6)]
    assert planned["random", 6][-3:] == ["baselines=[]", "strategy=random", "seed=6"]


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".", "a" * 100], ids=["above", "empty", "below", "here", "long"])
def test_a_name_that_no_folder_of_a_run_can_have_is_refused_at_the_start(name: str) -> None:
    with pytest.raises(ParameterError, match="--name"):
        plan_comparison(("random",), budget="10%", seeds=1, overlays=(), settings=[], name=name)
