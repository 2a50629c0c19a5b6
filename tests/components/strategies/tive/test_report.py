import math

import numpy as np
import pyarrow as pa
import pytest

from components import schemas
from components.report.task_rows import task_rows
from components.strategies.tive.report import Difficulty, TiveEvidence, difficulty
from tests.components.report.html_page import Page
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


def found(influence: pa.Table, selection: pa.Table) -> Difficulty:
    row = {"task": "color", "samples": 5, "difficulty": 2.0, "share": 1.0, "quota": 2, "uniform_distance": 0.25}
    evidence = TiveEvidence(
        warm_up=schemas.CHOSEN.empty_table(),
        influence=influence,
        difficulty=pa.Table.from_pylist([row], schema=schemas.DIFFICULTY),
        sampling_q=1.0,
    )
    return difficulty(evidence, selection, task_rows(make_inputs()))


def test_the_spread_of_the_influences_and_the_mean_of_those_drawn():
    numbers = found(*tables((3, 4)))
    (task,) = numbers.tasks
    assert (task.row.task, task.difficulty, numbers.uniform_distance) == ("color", 2.0, 0.25)
    assert task.influence is not None
    assert task.influence.mean == pytest.approx(0.1)
    assert task.influence.quarter == pytest.approx(0.0)
    assert task.drawn == pytest.approx(0.25)
    assert numbers.axis is not None
    assert numbers.axis.low <= task.influence.tenth
    assert numbers.axis.high >= task.influence.ninetieth


def test_a_task_of_which_nothing_was_drawn():
    (task,) = found(*tables(())).tasks
    assert math.isnan(task.drawn)


@pytest.mark.parametrize("influences", [np.array([]), np.array([np.nan])])
def test_no_influence_no_chart(influences):
    numbers = found(*tables((), influences))
    assert numbers.tasks[0].influence is None
    assert numbers.axis is None


def test_the_page_says_the_numbers():
    words = Page(page_of("tive")).words().replace("\u202f", " ")
    assert "shape 3.000 50.0 % 40 100 0.02 % color 1.500 50.0 % 40 100 0.02 %" in words, "the most difficult task first"
    assert "With q = 0.001 the probabilities of the draw were at most 0.02 % away from uniform" in words
    assert "uniform in effect" in words
    assert "How typical the samples of a task are" in words
