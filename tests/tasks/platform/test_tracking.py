"""What MLflow takes for the name of a number, and whether it is there."""

import socket
import time

import pytest
from mlflow.utils.validation import _validate_metric_name

from tasks.platform.tracking import TrackingAwayError, check_answers, metric_name

TASKS = ["color", "VQA (v2)", "a/b", "../x", "a//b/", ".", "", "long " * 80, "\u989c\u8272", "a\nb", "\U0001f600", "/x"]


@pytest.mark.parametrize("task", TASKS)
def test_whatever_a_task_is_called_its_numbers_have_a_name(task):
    _validate_metric_name(metric_name(f"importance/{task}"), "name")


def test_long_names_stay_different_and_short_ones_as_they_are():
    names = [metric_name("importance/" + "long " * 80 + end) for end in "ab"]
    assert names[0] != names[1]
    assert metric_name("importance/color v1.0") == "importance/color v1.0"


@pytest.mark.parametrize("address", ["http://{}", "postgresql://me:secret@{}/runs", "postgresql+psycopg://{}/runs"])
def test_a_server_or_database_that_is_away_is_known_within_seconds(address, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address.format(f"127.0.0.1:{taken.getsockname()[1]}"))
        begun = time.monotonic()
        with pytest.raises(TrackingAwayError) as error:
            check_answers()
    assert time.monotonic() - begun < 10
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("address", ["sqlite:////nowhere/x.db", "postgresql:///runs?host=/run/postgresql"])
def test_a_database_without_a_server_of_its_own_is_not_asked(address, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    check_answers()
