import math

import pytest

from components.report import filters
from components.text import dollars


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (filters.count(1234567), "1,234,567"),
        (filters.percent(0.1234), "12.3\u202f%"),
        (filters.percent(0.0), "0.0\u202f%"),
        (filters.percent(0.0001), "< 0.1\u202f%"),
        (filters.percent(math.nan), "\u2013"),
        (filters.signed_points(0.094), "+9.4"),
        (filters.signed_points(-0.094), "\u22129.4"),
        (filters.signed_points(-0.0001), "0.0"),
        (dollars(0.0034), "$0.0034"),
        (dollars(9.06), "$9.06"),
        (dollars(12345.6), "$12,346"),
        (filters.duration(4.21), "4.2 s"),
        (filters.duration(185), "3 min 05 s"),
        (filters.duration(7800), "2 h 10 min"),
        (filters.quantity(1, "image"), "1 image"),
    ],
)
def test_numbers_read_well(text, expected):
    assert text == expected
