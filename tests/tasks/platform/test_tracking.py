"""What MLflow takes for the name of a number."""

import pytest
from mlflow.utils.validation import _validate_metric_name

from tasks.platform.tracking import metric_name

TASKS = ["color", "VQA (v2)", "a/b", "../x", "a//b/", ".", "", "long " * 80, "\u989c\u8272", "a\nb", "\U0001f600", "/x"]


@pytest.mark.parametrize("task", TASKS)
def test_whatever_a_task_is_called_its_numbers_have_a_name(task):
    _validate_metric_name(metric_name(f"importance/{task}"), "name")


def test_long_names_stay_different_and_short_ones_as_they_are():
    names = [metric_name("importance/" + "long " * 80 + end) for end in "ab"]
    assert names[0] != names[1]
    assert metric_name("importance/color v1.0") == "importance/color v1.0"
