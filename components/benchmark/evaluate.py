"""Asks a model the questions of held-out sets and judges its answers."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from components.benchmark.judged import set_score
from components.benchmark.metrics import judge_answers
from components.benchmark.sets import BenchmarkQuestion, LoadedBenchmarkSet, load_benchmark_set
from components.compute.engine import Engine
from components.compute.progress import Progress
from components.parameters.parameters import BenchmarkSet
from components.pool.samples import Dropped
from components.schemas import METRICS, PREDICTIONS

if TYPE_CHECKING:
    from components.models.vlm.labels import SampleError
    from components.models.vlm.source import VlmSource

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """How a model did.

    Attributes:
        predictions: columns of `components.schemas.PREDICTIONS`, sets in the given order, questions in file order.
        metrics: columns of `components.schemas.METRICS`, one row per set; NaN where no question was left.
        dropped: records and questions left out because they cannot be asked; `sample_id` is `set/record id`.
    """

    predictions: pa.Table
    metrics: pa.Table
    dropped: tuple[Dropped, ...]


def evaluate(
    vlm: "VlmSource",
    sets: Sequence[BenchmarkSet],
    *,
    pool_image_shas: frozenset[str],
    batch_size: int,
    max_new_tokens: int,
    pixel_limit: int,
    progress: Progress,
    engine: Engine,
) -> BenchmarkResult:
    """Ask and judge.

    Args:
        vlm: the model.
        sets: what to ask.
        pool_image_shas: questions about these images are left out and counted, so that no score comes from an
            image that a model may have been trained on.
        batch_size: prompts generated at a time.
        max_new_tokens: tokens of an answer at most.
        pixel_limit: images with more pixels are left out.
        progress: told about questions.
        engine: where they are answered.

    Returns:
        Predictions and scores.

    Raises:
        BenchmarkSetError: a set as a whole cannot be used.
    """
    loaded = [load_benchmark_set(one, pixel_limit=pixel_limit) for one in sets]
    held_out = [_held_out(one, pool_image_shas) for one in loaded]
    # All sets together, so that batches are full and of even length.
    answers = iter(
        _ask(
            vlm,
            [question for questions in held_out for question in questions],
            batch_size=batch_size,
            max_new_tokens=max_new_tokens,
            pixel_limit=pixel_limit,
            progress=progress,
            engine=engine,
        )
    )
    predictions, metrics = [PREDICTIONS.empty_table()], [METRICS.empty_table()]
    dropped: list[Dropped] = []
    for one, questions in zip(loaded, held_out, strict=True):
        answered = [(question, next(answers)) for question in questions]
        rows, summary = judge_set(
            one,
            [question for question, answer in answered if isinstance(answer, str)],
            [answer for _, answer in answered if isinstance(answer, str)],
            left_out=len(one.questions) - len(questions),
        )
        predictions.append(rows)
        metrics.append(summary)
        dropped += one.dropped
        dropped += [
            Dropped(f"{one.name}/{question.record_id}", answer.reason, f"turn {question.turn}: {answer.detail}")
            for question, answer in answered
            if not isinstance(answer, str)
        ]
    return BenchmarkResult(
        predictions=pa.concat_tables(predictions).combine_chunks(),
        metrics=pa.concat_tables(metrics).combine_chunks(),
        dropped=tuple(dropped),
    )


def judge_set(
    loaded: LoadedBenchmarkSet,
    questions: Sequence[BenchmarkQuestion],
    answers: Sequence[str],
    *,
    left_out: int,
) -> tuple[pa.Table, pa.Table]:
    """Judge the answers to questions of one set.

    Args:
        loaded: the set.
        questions: `n` of its questions.
        answers: the answer to each, `n`.
        left_out: questions that were not asked because their image is in the pool.

    Returns:
        `components.schemas.PREDICTIONS` (`n` rows) and `components.schemas.METRICS` (one row).
    """
    judged = judge_answers(loaded.metric, answers, [one.references for one in questions])
    if not judged:
        _LOG.warning("benchmark set %s: no question is left to ask, so it has no score", loaded.name)
    rows = [
        {
            "set": loaded.name,
            "record_id": question.record_id,
            "turn": question.turn,
            "image": question.uri,
            "question": question.question,
            "references": list(question.references),
            "prediction": answer,
            "score": one.score,
        }
        for question, answer, one in zip(questions, answers, judged, strict=True)
    ]
    summary = {
        "set": loaded.name,
        "metric": loaded.metric,
        "score": set_score(judged) if judged else float("nan"),
        "questions": len(questions),
        "left_out": left_out,
    }
    return pa.Table.from_pylist(rows, schema=PREDICTIONS), pa.Table.from_pylist([summary], schema=METRICS)


def _held_out(loaded: LoadedBenchmarkSet, pool_image_shas: frozenset[str]) -> list[BenchmarkQuestion]:
    return [one for one in loaded.questions if one.image_sha not in pool_image_shas]


def _ask(
    vlm: "VlmSource",
    questions: Sequence[BenchmarkQuestion],
    *,
    batch_size: int,
    max_new_tokens: int,
    pixel_limit: int,
    progress: Progress,
    engine: Engine,
) -> "list[str | SampleError]":
    """Answers in order; the error in place of one to a question that cannot be asked."""
    from components.models.vlm.generate import Prompt, generate_answers

    return generate_answers(
        vlm,
        [Prompt(one.uri, one.image_sha, one.history, one.question) for one in questions],
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
        pixel_limit=pixel_limit,
        progress=progress,
        engine=engine,
    )
