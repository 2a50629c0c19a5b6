"""Models that answered what a test says."""

import pyarrow as pa

from components.benchmark.metrics import METRICS as METRIC_OF
from components.benchmark.metrics import score_questions
from components.parameters.parameters import MetricName
from components.promotion.pair_answers import BenchmarkedModel
from components.schemas import METRICS, PREDICTIONS

Answers = dict[str, list[str]]  # by set


def model(
    version: str,
    answers: Answers,
    truths: Answers,
    *,
    metric: MetricName = "exact_match",
    per_record: int = 1,
    prefix: str = "",
) -> BenchmarkedModel:
    """A benchmarked model; `per_record` questions belong to one record."""
    assert metric in METRIC_OF
    predictions, metrics = [], []
    for name, given in answers.items():
        scores, score = score_questions(metric, given, [[truth] for truth in truths[name]])
        metrics.append({"set": name, "metric": metric, "score": score, "questions": len(given), "left_out": 0})
        for index, (answer, truth, one) in enumerate(zip(given, truths[name], scores, strict=True)):
            predictions.append(
                {
                    "set": name,
                    "record_id": f"{prefix}{index // per_record}",
                    "turn": index % per_record,
                    "image": f"{index // per_record}.png",
                    "question": f"Question {index}?",
                    "references": [truth],
                    "prediction": answer,
                    "score": one,
                }
            )
    return BenchmarkedModel(
        version, pa.Table.from_pylist(predictions, schema=PREDICTIONS), pa.Table.from_pylist(metrics, schema=METRICS)
    )
