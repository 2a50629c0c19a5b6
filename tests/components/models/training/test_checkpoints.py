import contextlib
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
from torch.optim.optimizer import register_optimizer_step_post_hook

from components.models.training.training_log import TrainingLogRow
from tests.components.models.training.runs import assert_same_adapter, run, vlm_parameters
from tests.components.models.vlm.samples import draw_samples

ROOT = Path(__file__).resolve().parents[4]
SETTINGS: dict[str, Any] = {"batch_size": 2, "checkpoint_every": 2, "lora_dropout": 0.1, "gradient_accumulation": 2}
EPOCHS = 4  # 8 samples, 4 per update: 8 updates


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


class RunEndedError(Exception):
    """Ends a run in the middle, as a kill does; `tests/flows/test_kill.py` really kills one."""


@pytest.fixture
def interrupted(interrupted_once: Path, tmp_path: Path) -> Path:
    """Folder of a run that ended in its fifth update."""
    return shutil.copytree(interrupted_once, tmp_path / "interrupted")


@pytest.fixture(scope="module")
def interrupted_once(toy_llava: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "interrupted"

    def end(row: TrainingLogRow) -> None:
        if row.step == 5:
            raise RunEndedError

    with pytest.raises(RunEndedError):
        run(
            draw_samples(images, 8, seed=3),
            folder,
            vlm=vlm_parameters(toy_llava),
            epochs=EPOCHS,
            on_log=end,
            **SETTINGS,
        )
    names = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert names == ["checkpoint-2", "checkpoint-4"]
    assert not (folder / "adapter").exists()
    return folder


def test_an_interrupted_run_continues_and_ends_where_an_uninterrupted_one_does(
    toy_llava: Path, images: Path, interrupted: Path, tmp_path: Path
):
    samples = draw_samples(images, 8, seed=3)
    vlm = vlm_parameters(toy_llava)
    executed: list[int] = []
    rows: list[TrainingLogRow] = []
    hook = register_optimizer_step_post_hook(lambda *_: executed.append(1))
    try:
        resumed = run(samples, interrupted, vlm=vlm, epochs=EPOCHS, on_log=rows.append, **SETTINGS)
    finally:
        hook.remove()
    whole = run(samples, tmp_path / "whole", vlm=vlm, epochs=EPOCHS, **SETTINGS)
    assert (resumed.updates, resumed.resumed_at, len(executed)) == (8, 4, 4)
    assert (whole.updates, whole.resumed_at) == (8, 0)
    assert_same_adapter(interrupted, tmp_path / "whole", tolerance=1e-6)
    assert [row.step for row in rows] == list(range(1, 9))
    assert resumed.log["loss"].to_pylist() == pytest.approx(whole.log["loss"].to_pylist(), abs=1e-5)
    assert not (interrupted / "checkpoints").exists()


def test_another_run_does_not_continue_it(toy_llava: Path, images: Path, interrupted: Path, tmp_path: Path, caplog):
    samples = draw_samples(images, 8, seed=3)
    vlm = vlm_parameters(toy_llava)
    changed = SETTINGS | {"learning_rate": 0.02}
    result = run(samples, interrupted, vlm=vlm, epochs=EPOCHS, **changed)
    assert (result.updates, result.resumed_at) == (8, 0)
    assert "belongs to other samples, parameters or versions" in caplog.text
    run(samples, tmp_path / "fresh", vlm=vlm, epochs=EPOCHS, **changed)
    assert_same_adapter(interrupted, tmp_path / "fresh", tolerance=0.0)


def test_an_incomplete_checkpoint_is_ignored(toy_llava: Path, images: Path, interrupted: Path):
    newest = interrupted / "checkpoints" / "checkpoint-4"
    (newest / "complete.json").unlink()
    (newest / "optimizer.pt").write_bytes(b"half")
    result = run(draw_samples(images, 8, seed=3), interrupted, vlm=vlm_parameters(toy_llava), epochs=EPOCHS, **SETTINGS)
    assert (result.updates, result.resumed_at) == (8, 2)


def test_other_samples_are_another_run(toy_llava: Path, images: Path, interrupted: Path):
    samples = draw_samples(images, 8, seed=3)[:7]
    result = run(samples, interrupted, vlm=vlm_parameters(toy_llava), epochs=1, **SETTINGS)
    assert result.resumed_at == 0


class Harmful:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("file", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "training_args.bin"])
def test_a_checkpoint_never_runs_code(toy_llava: Path, images: Path, interrupted: Path, tmp_path: Path, file: str):
    mark = tmp_path / "executed"
    path = interrupted / "checkpoints" / "checkpoint-4" / file
    assert path.is_file()
    path.write_bytes(pickle.dumps(Harmful(mark)))
    samples = draw_samples(images, 8, seed=3)
    # The trainer writes its arguments and never reads them; the rest it reads without running anything.
    harmless = file == "training_args.bin"
    refused = contextlib.nullcontext() if harmless else pytest.raises(pickle.UnpicklingError, match=r"(?i)weights.only")
    with refused:
        run(samples, interrupted, vlm=vlm_parameters(toy_llava), epochs=EPOCHS, **SETTINGS)
    assert not mark.exists()


def test_the_mark_holds_the_log(interrupted: Path):
    record = json.loads((interrupted / "checkpoints" / "checkpoint-4" / "complete.json").read_text())
    assert [row["step"] for row in record["rows"]] == [1, 2, 3, 4]
