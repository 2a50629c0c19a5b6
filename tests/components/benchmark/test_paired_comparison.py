"""The bootstrap against hand numbers, every possible draw, and the normal approximation."""

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from components.benchmark.paired_comparison import PairedAnswers, paired_bootstrap


def scores(name: str, challenger: list[float], champion: list[float]) -> PairedAnswers:
    return PairedAnswers(name, len(challenger), _averaged(challenger), _averaged(champion))


def _averaged(values: list[float]) -> NDArray[np.float64]:
    return np.stack([np.array(values), np.ones(len(values)), 1 - np.array(values)], axis=1)


def test_scores_and_difference_are_means_over_sets_not_over_questions() -> None:
    sets = [scores("long", [1, 1, 0, 0], [1, 0, 0, 0]), scores("short", [0], [1])]
    average, by_set = paired_bootstrap(sets, resamples=1000, confidence=0.95, seed=0)
    assert [(one.name, one.first, one.second) for one in by_set] == [("long", 0.5, 0.25), ("short", 0.0, 1.0)]
    assert average.difference == pytest.approx((0.25 - 1.0) / 2)
    assert average.questions == 5
    assert (by_set[1].low, by_set[1].high) == (-1.0, -1.0), "one question gives the same draw every time"


def test_interval_is_that_of_all_possible_draws() -> None:
    challenger, champion = [1.0, 0.5, 0.0, 1.0, 0.25], [0.0, 0.5, 0.75, 0.0, 0.0]
    differences = np.array(challenger) - np.array(champion)
    every = np.array([differences[list(draw)].mean() for draw in itertools.product(range(5), repeat=5)])
    _, (one,) = paired_bootstrap([scores("set", challenger, champion)], resamples=200_000, confidence=0.8, seed=1)
    assert one.low == pytest.approx(np.quantile(every, 0.1), abs=0.011)
    assert one.high == pytest.approx(np.quantile(every, 0.9), abs=0.011)


def test_pairing_makes_the_interval_narrow() -> None:
    generator = np.random.default_rng(2)
    champion = generator.integers(2, size=400).astype(float)
    challenger = champion.copy()
    challenger[:20] = 1 - challenger[:20]  # the two differ on 20 questions only
    (one,) = paired_bootstrap(
        [scores("set", list(challenger), list(champion))], resamples=20_000, confidence=0.95, seed=3
    )[1]
    expected = 2 * 1.96 * (challenger - champion).std() / np.sqrt(400)
    assert one.high - one.low == pytest.approx(expected, rel=0.04)


def test_identical_models_differ_by_nothing() -> None:
    answers = [1.0, 0.0, 1.0, 1.0]
    average, _ = paired_bootstrap([scores("set", answers, answers)], resamples=1000, confidence=0.95, seed=4)
    assert (average.difference, average.low, average.high) == (0.0, 0.0, 0.0)


def test_same_seed_same_interval_whatever_the_order_of_the_sets() -> None:
    generator = np.random.default_rng(5)
    sets = [scores(name, list(generator.random(30)), list(generator.random(30))) for name in "abc"]
    first = paired_bootstrap(sets, resamples=2000, confidence=0.9, seed=6)
    assert paired_bootstrap(sets[::-1], resamples=2000, confidence=0.9, seed=6) == first
    assert paired_bootstrap(sets, resamples=2000, confidence=0.9, seed=7) != first


def test_a_set_too_large_for_one_block_gives_as_many_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    from components.benchmark import paired_comparison as module

    one = scores("set", [1, 0, 1, 0, 1], [0, 0, 1, 0, 1])
    monkeypatch.setattr(module, "_DRAWS_PER_BLOCK", 7)
    drawn = module._resampled_differences(one, 10, np.random.default_rng(8))
    assert drawn.shape == (10,)
    assert set(np.round(drawn * 5)) <= {0, 1, 2, 3, 4, 5}


def test_no_set_and_unpaired_records_are_errors() -> None:
    with pytest.raises(ValueError, match="at least one benchmark set"):
        paired_bootstrap([], resamples=1000, confidence=0.95, seed=0)
    with pytest.raises(ValueError, match="same n >= 1 records"):
        PairedAnswers("set", 2, np.ones((2, 3)), np.ones((3, 3)))
