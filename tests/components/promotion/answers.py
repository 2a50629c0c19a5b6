"""Models that answered what a test says."""

import pyarrow as pa

from components.benchmark.judged import set_score
from components.benchmark.metrics import judge_answers
from components.promotion.gate import BenchmarkedModel
from components.schemas import METRICS, PREDICTIONS

Answers = dict[str, list[str]]  # by set


def model(
    version: str,
    answers: Answers,
    truths: Answers,
    *,
    metric: str = "exact_match",
    per_record: int = 1,
    prefix: str = "",
) -> BenchmarkedModel:
    """A benchmarked model; `per_record` questions belong to one record."""
    predictions, metrics = [], []
    for name, given in answers.items():
        judged = judge_answers(metric, given, [[truth] for truth in truths[name]])
        score = set_score(judged)
        metrics.append({"set": name, "metric": metric, "score": score, "questions": len(given), "left_out": 0})
        for index, (answer, truth, one) in enumerate(zip(given, truths[name], judged, strict=True)):
            predictions.append(
                {
                    "set": name,
                    "record_id": f"{prefix}{index // per_record}",
                    "turn": index % per_record,
                    "image": f"{index // per_record}.png",
                    "question": f"Question {index}?",
                    "references": [truth],
                    "prediction": answer,
                    "score": one.score,
                }
            )
    return BenchmarkedModel(
        version, pa.Table.from_pylist(predictions, schema=PREDICTIONS), pa.Table.from_pylist(metrics, schema=METRICS)
    )
