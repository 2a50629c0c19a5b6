"""A tune that two processes share: the adapter of one process, whatever happens on the way."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch.distributed as dist
from torch.distributed.tensor import DTensor
from torch.multiprocessing.spawn import spawn

from components.compute.ahead import WorkerDiedError
from components.models.training.listener import DivergedError
from components.models.training.training_log import TrainingLogRow
from components.models.vlm.load import load_vlm
from components.pool.samples import InstructedImage
from tests.components.models.training.runs import assert_same_adapter, run, vlm_parameters
from tests.components.models.vlm.samples import draw_samples

pytestmark = pytest.mark.slow(40)
ROOT = Path(__file__).resolve().parents[4]
# Samples of unlike length in updates of 16: of 22, the last update of an epoch has 6, three for each of two processes;
# of 17 it has one, so that one process has none.
SETTINGS: dict[str, Any] = {"batch_size": 8, "gradient_accumulation": 2, "checkpoint_every": 2, "epochs": 3}
UPDATES = 6


class RunEndedError(Exception):
    """Ends a run in the middle."""


def end(row: TrainingLogRow) -> None:
    if row.step == 3:
        raise RunEndedError


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[InstructedImage]:
    return draw_samples(tmp_path_factory.mktemp("images"), 22, seed=3)


def test_two_processes_continue_what_one_began(toy_llava: Path, samples, tmp_path: Path, caplog):
    """Continued in its second epoch, so that an update of 16 and one of a single sample are shared."""
    vlm, used = vlm_parameters(toy_llava), samples[:17]
    rows: list[TrainingLogRow] = []
    whole = run(used, tmp_path / "one", vlm=vlm, on_log=rows.append, **SETTINGS)
    assert (whole.updates, len(rows)) == (UPDATES, UPDATES)
    with pytest.raises(RunEndedError):
        run(used, tmp_path / "two", vlm=vlm, on_log=end, **SETTINGS)
    caplog.clear()
    shared: list[TrainingLogRow] = []
    missing = InstructedImage("task/missing", "task", str(tmp_path / "none.png"), "", used[0].turns)
    unusable = [*used[:5], missing, *used[5:]]
    result = run(unusable, tmp_path / "two", vlm=vlm, processes=2, on_log=shared.append, **SETTINGS)

    assert (result.updates, result.resumed_at, result.samples) == (UPDATES, 2, 17)
    assert [(item.sample_id, item.reason) for item in result.dropped] == [("task/missing", "missing")]
    assert_same_adapter(tmp_path / "one", tmp_path / "two", tolerance=1e-5)
    assert [(row.step, row.epoch) for row in shared] == [(row.step, row.epoch) for row in rows]  # one of them logs
    assert [row.loss for row in shared] == pytest.approx([row.loss for row in rows], abs=1e-4)
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == "of 18 samples {'missing': 1} are dropped, 0 truncated"
    assert said[1].endswith("on 17 samples, from update 2 on")
    assert len(said) == 2
    assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["adapter"]
    config = "adapter/adapter_config.json"
    assert (tmp_path / "one" / config).read_bytes() == (tmp_path / "two" / config).read_bytes()
    assert multiprocessing.active_children() == []


@pytest.mark.soak
def test_a_killed_process_ends_the_tune_and_two_others_continue(toy_llava: Path, samples, tmp_path: Path):
    vlm = vlm_parameters(toy_llava)

    def kill_the_second(row: TrainingLogRow) -> None:
        if row.step == 3:
            (second,) = (child for child in multiprocessing.active_children() if child.name == "tune-1")
            sockets = psutil.Process(second.pid).net_connections("inet")
            listening = {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN}
            assert listening <= {"127.0.0.1", "::1"}
            second.kill()

    settings = SETTINGS | {"gradient_checkpointing": True, "lora_dropout": 0.1}
    with pytest.raises(WorkerDiedError, match=r"process 2 of the 2 .* ended by SIGKILL, most likely for want of mem"):
        run(samples, tmp_path / "killed", vlm=vlm, processes=2, on_log=kill_the_second, **settings)
    assert multiprocessing.active_children() == []
    assert not (tmp_path / "killed/adapter").exists()
    kept = {path.name for path in (tmp_path / "killed/checkpoints/checkpoint-2").iterdir()}
    assert {"complete.json", "rng_state_0.pth", "rng_state_1.pth"} <= kept
    result = run(samples, tmp_path / "killed", vlm=vlm, processes=2, **settings)
    assert (result.updates, result.resumed_at) == (UPDATES, 2)
    run(samples, tmp_path / "whole", vlm=vlm, processes=2, **settings)
    assert_same_adapter(tmp_path / "killed", tmp_path / "whole", tolerance=0.0)  # dropout drawn anew would differ


@pytest.mark.soak
def test_three_processes_give_the_adapter_of_one(toy_llava: Path, samples, tmp_path: Path):
    vlm = vlm_parameters(toy_llava)
    for count in (1, 3):
        run(samples, tmp_path / f"{count}", vlm=vlm, processes=count, **SETTINGS)
    assert_same_adapter(tmp_path / "1", tmp_path / "3", tolerance=1e-5)


@pytest.mark.soak
def test_processes_with_a_shard_of_the_model_each_give_the_adapter_of_one_with_all_of_it(
    toy_llava: Path, samples, tmp_path: Path
):
    vlm = vlm_parameters(toy_llava)
    run(samples, tmp_path / "whole", vlm=vlm, **SETTINGS)
    sharded: dict[str, Any] = SETTINGS | {"processes": 2, "shard": True, "gradient_checkpointing": True}
    with pytest.raises(RunEndedError):
        run(samples, tmp_path / "sharded", vlm=vlm, on_log=end, **sharded)
    result = run(samples, tmp_path / "sharded", vlm=vlm, **sharded)
    assert (result.updates, result.resumed_at) == (UPDATES, 2)
    assert_same_adapter(tmp_path / "whole", tmp_path / "sharded", tolerance=1e-5)


def hold_a_shard(rank: int, folder: Path, meeting: Path) -> None:
    dist.init_process_group("gloo", init_method=meeting.as_uri(), rank=rank, world_size=2)
    model = load_vlm(vlm_parameters(folder), shards=2).model
    held = sum(part.to_local().numel() if isinstance(part, DTensor) else part.numel() for part in model.parameters())
    share = held / sum(part.numel() for part in model.parameters())
    dist.destroy_process_group()
    assert 0.4 < share < 0.6, share


@pytest.mark.soak
def test_a_shard_is_a_part_of_the_weights(toy_llava: Path, tmp_path: Path):
    spawn(hold_a_shard, (toy_llava, tmp_path / "meeting"), nprocs=2)


@pytest.mark.soak
def test_what_one_process_raises_is_raised_here(toy_llava: Path, samples, tmp_path: Path):
    vlm = vlm_parameters(toy_llava)
    with pytest.raises(DivergedError, match=r"lower tuning.learning_rate \(now 1e\+30\)"):
        run(samples, tmp_path, vlm=vlm, processes=2, **SETTINGS | {"learning_rate": 1e30, "checkpoint_every": 1})
    assert not (tmp_path / "checkpoints").exists()
    with pytest.raises(ValueError, match=r"tuning.target_modules \['nowhere'\]"):
        run(samples, tmp_path, vlm=vlm, processes=2, target_modules=["nowhere"])
    assert multiprocessing.active_children() == []


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_the_processes_end_with_the_one_that_started_them(
    toy_llava: Path, samples, tmp_path: Path, number: signal.Signals
):
    program = (
        "import json, sys; from pathlib import Path; from components.pool.samples import InstructedImage, Turn\n"
        "from tests.components.models.training.runs import run, vlm_parameters\n"
        "from tests.components.models.vlm.samples import draw_samples\n"
        "if __name__ == '__main__':\n"
        "    model, folder = (Path(name) for name in sys.argv[1:])\n"
        "    samples = draw_samples(folder, 22, seed=3)\n"
        "    vlm = vlm_parameters(model)\n"
        "    run(samples, folder, vlm=vlm, processes=2, batch_size=8, epochs=500, checkpoint_every=1)\n"
    )
    (tmp_path / "tune.py").write_text(program)
    command = [sys.executable, str(tmp_path / "tune.py"), str(toy_llava), str(tmp_path)]
    parent = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True)
    wait_until(lambda: len(list((tmp_path / "checkpoints").glob("checkpoint-*/complete.json"))) >= 2)
    processes = psutil.Process(parent.pid).children()
    assert len(processes) >= 2
    parent.send_signal(number)
    parent.wait(30)
    wait_until(lambda: not any(process.is_running() for process in processes))
    mark = max((tmp_path / "checkpoints").glob("checkpoint-*/complete.json"))
    assert json.loads(mark.read_text())["rows"]


def wait_until(reached) -> None:
    deadline = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)
