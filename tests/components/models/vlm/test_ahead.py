"""Preparing ahead keeps the order, stays bounded and passes errors on."""

import threading

import pytest

from components.models.vlm.ahead import prepare_ahead


def test_results_come_in_order() -> None:
    assert list(prepare_ahead(range(7), lambda number: number * number)) == [0, 1, 4, 9, 16, 25, 36]
    assert list(prepare_ahead([], str)) == []


def test_no_more_than_a_few_items_are_held() -> None:
    prepared: list[int] = []

    def prepare(number: int) -> int:
        prepared.append(number)
        return number

    results = prepare_ahead(range(100), prepare)
    assert [next(results), next(results)] == [0, 1]
    assert len(prepared) <= 4


def test_items_are_prepared_in_one_other_thread() -> None:
    threads = set(prepare_ahead(range(5), lambda _: threading.get_ident()))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_error_reaches_whoever_takes_the_result() -> None:
    results = prepare_ahead([2, 1, 0], lambda number: 2 // number)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(ZeroDivisionError):
        next(results)
