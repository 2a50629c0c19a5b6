"""Two models' answers to the same questions, put side by side."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.benchmark.judged import Judged
from components.benchmark.metrics import judge_answers

Question = tuple[str, str, int, str, str]  # set, record, turn, question, references


@dataclass(frozen=True, slots=True)
class PairedAnswers:
    """What the scores of two models on one benchmark set are made of, record by record.

    Questions about one record belong together, because they are not independent.

    Attributes:
        name: of the set.
        questions: how many.
        first: `(n, 3)` float64, of each of `n` records the sums over its questions of numerator, denominator and
            1 - score (`components.benchmark.judged.Judged`).
        second: `(n, 3)` float64, of the same records.
    """

    name: str
    questions: int
    first: NDArray[np.float64]
    second: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.first.shape != self.second.shape or self.first.shape[1:] != (3,) or not len(self.first):
            raise ValueError(
                f"set {self.name!r}: both models need (n, 3) numbers of the same n >= 1 records, got "
                f"{self.first.shape} and {self.second.shape}"
            )


def questions_of(predictions: pa.Table) -> frozenset[Question]:
    """The questions that a model answered.

    Args:
        predictions: columns of `components.schemas.PREDICTIONS`.
    """
    return frozenset(_by_question(predictions))


def pair_answers(first: pa.Table, second: pa.Table, *, metric_of: Mapping[str, str]) -> tuple[PairedAnswers, ...]:
    """Put both models' answers to the questions that both were asked side by side, set by set.

    Answers are judged here, not read as they were judged when they were given: both by the metric as it is now,
    whatever version of it wrote either table.

    Args:
        first: a model's answers, columns of `components.schemas.PREDICTIONS`.
        second: another's.
        metric_of: names of `components.benchmark.metrics.METRICS` by set; other sets are left out.

    Returns:
        By set, in the order of their names; those without a common question are left out.
    """
    rows, other_rows = _by_question(first), _by_question(second)
    common = sorted(rows.keys() & other_rows.keys())
    paired = []
    for name in sorted(metric_of):
        questions = [question for question in common if question[0] == name]
        if questions:
            records = np.unique([record for _, record, *_ in questions], return_inverse=True)[1]
            sides = (_summed(_judged(side, questions, metric_of[name]), records) for side in (rows, other_rows))
            paired.append(PairedAnswers(name, len(questions), *sides))
    return tuple(paired)


def _judged(rows: Mapping[Question, dict[str, Any]], questions: list[Question], metric: str) -> tuple[Judged, ...]:
    asked = [rows[question] for question in questions]
    return judge_answers(metric, [row["prediction"] for row in asked], [row["references"] for row in asked])


def _summed(judged: tuple[Judged, ...], records: NDArray[np.intp]) -> NDArray[np.float64]:
    parts = np.array([(one.numerator, one.denominator, 1 - one.score) for one in judged], dtype=np.float64)
    summed = np.zeros((int(records.max()) + 1, 3))
    np.add.at(summed, records, parts)
    return summed


def _by_question(predictions: pa.Table) -> dict[Question, dict[str, Any]]:
    return {
        (row["set"], row["record_id"], row["turn"], row["question"], json.dumps(row["references"])): row
        for row in predictions.to_pylist()
    }
