"""How many standard errors two means must lie apart when their spread is itself known from few runs only."""

# Student's t, 97.5 % quantile, for 1 to 30 degrees of freedom.
_QUANTILES = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
_NORMAL = 1.960


def student_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, so that a 95 % interval reaches as far to both sides.

    Args:
        freedom: degrees of freedom, 1 at least.

    Returns:
        To three digits up to 30 degrees of freedom; beyond, linear in 1 / freedom down to the normal one's 1.960.

    Raises:
        ValueError: `freedom` is below 1.
    """
    if freedom < 1:
        raise ValueError(f"freedom is {freedom}; a spread needs 1 degree of freedom at least, that is, two runs")
    if freedom <= len(_QUANTILES):
        return _QUANTILES[freedom - 1]
    return _NORMAL + (_QUANTILES[-1] - _NORMAL) * len(_QUANTILES) / freedom
