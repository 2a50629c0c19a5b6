import numpy as np
import pyarrow as pa
import pytest

from components import schemas
from components.report.influence_spread import influence_spread
from components.report.task_rows import task_rows
from tests.components.report.synthetic import make_inputs
from tests.components.report.test_methods import page_of

INFLUENCES = np.array([-0.1, 0.0, 0.1, 0.2, 0.3])


def tables(drawn: tuple[int, ...], influences: np.ndarray = INFLUENCES) -> tuple[pa.Table, pa.Table]:
    """INFLUENCE and SELECTION of one task."""
    names = {"task": "color", "image_sha": "0"}
    influence = [
        {**names, "sample_id": f"color/{index}", "gradient_norm": 1.0, "influence": value, "probability": 0.2}
        for index, value in enumerate(influences)
    ]
    own = {"cluster": -1, "is_reference": False, "quota": len(drawn), "copies": 1, "reason": "drawn"}
    selection = [
        {**names, **own, "sample_id": f"color/{index}", "score": value, "rank": index + 1, "picked": index in drawn}
        for index, value in enumerate(influences)
    ]
    return (
        pa.Table.from_pylist(influence, schema=schemas.INFLUENCE),
        pa.Table.from_pylist(selection, schema=schemas.SELECTION),
    )


def test_places_and_texts():
    spread = influence_spread(["color"], task_rows(make_inputs()), *tables((3, 4)))
    assert spread is not None
    (row,) = spread.rows
    assert (row.mean_text, row.drawn_text) == ("0.100", "0.250")
    assert row.mean == spread.axis.place(0.1)
    assert row.drawn == spread.axis.place(0.25)
    assert row.quarter == spread.axis.place(0.0)
    assert row.tenth < row.quarter < row.mean < row.three_quarters < row.ninetieth


def test_a_task_of_which_nothing_was_drawn():
    spread = influence_spread(["color"], task_rows(make_inputs()), *tables(()))
    assert spread is not None
    assert spread.rows[0].drawn_text == "\u2013"
    assert spread.rows[0].drawn == spread.rows[0].mean


@pytest.mark.parametrize("influences", [np.array([]), np.array([np.nan])])
def test_no_influence_no_chart(influences):
    assert influence_spread(["color"], task_rows(make_inputs()), *tables((), influences)) is None


def test_on_the_page():
    assert "How typical the samples of a task are" in page_of("tive")
    assert "How typical the samples of a task are" not in page_of("coincide")
