import math

import pyarrow as pa
import pytest

from components.benchmark.relative import average_score, relative_score
from components.schemas import METRICS


def metrics(**scores: float) -> pa.Table:
    rows = [
        {"set": name, "metric": "exact_match", "score": score, "questions": 10, "left_out": 0}
        for name, score in scores.items()
    ]
    return pa.Table.from_pylist(rows, schema=METRICS)


def test_the_mean_of_ratios_is_not_the_ratio_of_means():
    assert relative_score(metrics(a=0.5, b=0.9), metrics(b=0.9, a=1.0)) == pytest.approx(75.0)
    assert relative_score(metrics(a=0.5, b=0.2), metrics(a=0.5, b=0.1)) == pytest.approx(150.0)


@pytest.mark.parametrize(
    ("scores", "full"),
    [({"a": 0.5}, {"a": 0.0}), ({"a": 0.5}, {"a": math.nan}), ({"a": math.nan}, {"a": 0.5})],
)
def test_undefined_ratios(scores, full):
    assert relative_score(metrics(**scores), metrics(**full)) is None


def test_other_sets_are_refused():
    with pytest.raises(ValueError, match=r"b \(exact_match\)"):
        relative_score(metrics(a=0.5), metrics(b=0.5))
    with pytest.raises(ValueError, match="cannot be set in relation"):
        relative_score(metrics(), metrics())


def test_average():
    assert average_score(metrics(a=0.5, b=1.0, c=math.nan)) == pytest.approx(0.75)
    assert math.isnan(average_score(metrics(a=math.nan)))
