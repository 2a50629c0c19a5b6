"""One number for several benchmark sets: their average, and the average relative to a tune on everything."""

import math

import pyarrow as pa


def average_score(metrics: pa.Table) -> float:
    """Plain mean over the sets that have a score.

    Args:
        metrics: columns of `components.schemas.METRICS`.

    Returns:
        0 to 1, higher is better; NaN when no set has a score.
    """
    scores = [score for score in _scores(metrics).values() if not math.isnan(score)]
    return sum(scores) / len(scores) if scores else math.nan


def relative_score(metrics: pa.Table, full_metrics: pa.Table) -> float | None:
    """Rel., the plain mean over the sets of `score / score of the full tune`, in percent (PreSel, section 5).

    Args:
        metrics: of the model in question, columns of `components.schemas.METRICS`.
        full_metrics: of the same base model tuned on the whole pool, on the same sets.

    Returns:
        Percent, higher is better, 100: as good as the full tune. None where the ratio is not defined: a set
        has no score, or the full tune scored 0 on it.

    Raises:
        ValueError: the two were measured on different sets or by different metrics.
    """
    scores, full_scores = _scores(metrics), _scores(full_metrics)
    if scores.keys() != full_scores.keys() or not scores:
        names = [sorted(f"{name} ({metric})" for name, metric in keys) for keys in (scores, full_scores)]
        raise ValueError(f"scores on {names[0]} cannot be set in relation to scores on {names[1]}")
    if any(math.isnan(scores[key]) or not full_scores[key] > 0 for key in scores):
        return None
    return 100 * sum(scores[key] / full_scores[key] for key in scores) / len(scores)


def _scores(metrics: pa.Table) -> dict[tuple[str, str], float]:
    rows = metrics.select(["set", "metric", "score"]).to_pylist()
    return {(row["set"], row["metric"]): row["score"] for row in rows}
