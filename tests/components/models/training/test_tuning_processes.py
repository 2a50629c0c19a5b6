from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from components.models.training.tuning_processes import TuningProcessesError, tuning_processes, visible_gpus
from tests.components.models.training.runs import tuning_parameters, vlm_parameters


@pytest.fixture
def three_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)


def count(processes: object, device: str = "auto", **changes: object) -> int:
    gpus = visible_gpus(vlm_parameters(Path(), device=device))
    return tuning_processes(tuning_parameters(processes=processes, **changes), gpus=gpus)


def test_a_cpu_has_one_unless_more_are_asked_for():
    assert count("auto", "cpu") == 1
    assert count(3, "cpu") == 3


def test_auto_takes_every_gpu_that_has_work(three_gpus):
    assert count("auto") == 3
    assert count("auto", "cpu") == 1
    assert count("auto", batch_size=1, gradient_accumulation=2) == 2
    assert count(2, "cuda") == 2


def test_more_processes_than_gpus_are_refused(three_gpus):
    with pytest.raises(TuningProcessesError, match=r"tuning.processes is 4, .* 3 are visible here; set 3 or less, or"):
        count(4)


def test_more_processes_than_an_update_has_samples_are_refused():
    message = r"processes is 9, but only 8 samples \(batch_size 4 x gradient_accumulation 2\) .* 8 or less is allowed"
    with pytest.raises(ValidationError, match=message):
        tuning_parameters(processes=9, batch_size=4, gradient_accumulation=2)


@pytest.mark.parametrize("processes", ["auto", 1])
def test_a_model_is_not_sharded_over_one_process(processes):
    with pytest.raises(
        TuningProcessesError, match=rf"tuning.processes {processes} is one here; set tuning.shard to fa"
    ):
        count(processes, "cpu", shard=True)
    assert count(2, "cpu", shard=True) == 2
