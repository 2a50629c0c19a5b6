import pytest
from scipy.stats import t  # type: ignore[import-untyped]  # scipy ships no types

from components.report.student_quantile import student_quantile


@pytest.mark.parametrize("freedom", [*range(1, 31), 35, 60, 200, 10_000])
def test_against_scipy(freedom):
    assert student_quantile(freedom) == pytest.approx(float(t.ppf(0.975, freedom)), abs=2e-3)


def test_no_freedom_is_refused():
    with pytest.raises(ValueError, match=r"freedom is 0; .* two runs"):
        student_quantile(0)
