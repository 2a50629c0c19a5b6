"""Two models' answers to the same questions, put side by side."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.benchmark.metrics_yes_no import read_yes_no
from components.errors import UserError
from components.promotion.paired_bootstrap import PairedScores

Question = tuple[str, str, int, str, str]  # set, record, turn, question, references
# Of a set's questions. A pool that grows takes a benchmark's image now and then, which is then not asked any more.
LEAST_COMMON_SHARE = 0.9


class NotComparableError(UserError, ValueError):
    """Two models were benchmarked on different questions, so their scores say nothing about each other."""


@dataclass(frozen=True, slots=True)
class BenchmarkedModel:
    """What a model answered.

    Attributes:
        version: of the registered model.
        predictions: columns of `components.schemas.PREDICTIONS`.
        metrics: columns of `components.schemas.METRICS`.
    """

    version: str
    predictions: pa.Table
    metrics: pa.Table


def pair_answers(challenger: BenchmarkedModel, champion: BenchmarkedModel) -> tuple[PairedScores, ...]:
    """Put both models' answers side by side, set by set: those to the questions that both were asked.

    Args:
        challenger: a model.
        champion: another.

    Returns:
        One for every set that has a question.

    Raises:
        NotComparableError: the sets or their metrics differ, or more than a tenth of a set's questions (or of their
            reference answers) do; the message counts them.
    """
    metric_of, other_metric_of = _metrics(challenger), _metrics(champion)
    if metric_of != other_metric_of:
        raise NotComparableError(
            f"version {challenger.version} was measured on {_named(metric_of)}, "
            f"version {champion.version} on {_named(other_metric_of)}"
        )
    rows, other_rows = _by_question(challenger), _by_question(champion)
    if not rows or not other_rows:
        raise NotComparableError(f"version {(champion if rows else challenger).version} answered no question")
    common = rows.keys() & other_rows.keys()
    for name in sorted(metric_of):
        shared, *asked = (sum(one[0] == name for one in questions) for questions in (common, rows, other_rows))
        if shared < LEAST_COMMON_SHARE * max(asked):
            raise NotComparableError(
                f"of set {name}, version {challenger.version} answered {asked[0] - shared:,} questions that version "
                f"{champion.version} did not, and {asked[1] - shared:,} the other way round; only {shared:,} are the "
                "same"
            )
    return tuple(
        _paired(name, metric, sorted(question for question in common if question[0] == name), rows, other_rows)
        for name, metric in sorted(metric_of.items())
        if any(question[0] == name for question in common)
    )


def _paired(
    name: str,
    metric: str,
    questions: list[Question],
    rows: dict[Question, dict[str, Any]],
    other_rows: dict[Question, dict[str, Any]],
) -> PairedScores:
    records = np.unique([record for _, record, *_ in questions], return_inverse=True)[1]
    return PairedScores(
        name,
        len(questions),
        *(_summed([_parts(answers[one], metric) for one in questions], records) for answers in (rows, other_rows)),
    )


def _summed(parts: list[tuple[float, float]], records: NDArray[np.intp]) -> NDArray[np.float64]:
    summed = np.zeros((int(records.max()) + 1, 2))
    np.add.at(summed, records, np.array(parts, dtype=np.float64))
    return summed


def _parts(row: dict[str, Any], metric: str) -> tuple[float, float]:
    """Numerator and denominator that one answer adds to the score of its set."""
    if metric != "yes_no_f1":
        return row["score"], 1.0
    said, truth = read_yes_no(row["prediction"]) == "yes", read_yes_no(row["references"][0]) == "yes"
    return 2.0 * (said and truth), float(said) + float(truth)


def _metrics(model: BenchmarkedModel) -> dict[str, str]:
    return dict(zip(model.metrics["set"].to_pylist(), model.metrics["metric"].to_pylist(), strict=True))


def _by_question(model: BenchmarkedModel) -> dict[Question, dict[str, Any]]:
    return {
        (row["set"], row["record_id"], row["turn"], row["question"], json.dumps(row["references"])): row
        for row in model.predictions.to_pylist()
    }


def _named(metric_of: dict[str, str]) -> str:
    return ", ".join(f"{name} ({metric})" for name, metric in sorted(metric_of.items())) or "no set"
