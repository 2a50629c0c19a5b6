"""Checkpoints of a run that may be killed: complete or ignored, and reused by the same run only."""

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import transformers

from components.models.training.lora import sync_files
from components.models.training.training_log import TrainingLogRow
from components.parameters.parameters import WHO_TUNES, TuningParameters, VlmParameters
from components.pool.samples import InstructedImage
from components.storage import write_json

COMPLETE = "complete.json"  # written last

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint.

    Attributes:
        path: its folder.
        step: optimiser updates it holds.
        rows: the log up to it.
    """

    path: Path
    step: int
    rows: tuple[TrainingLogRow, ...]


def run_fingerprint(
    samples: Sequence[InstructedImage],
    *,
    vlm: VlmParameters,
    tuning: TuningParameters,
    epochs: float,
    seed: int,
    device: torch.device,
) -> str:
    """Digest everything that a tune's result depends on, so that only the same run continues a checkpoint.

    How many processes share the tune, and whether the model is sharded over them, is not among it: they hold the same
    adapter and optimiser, so what one number of them began, another continues.

    Args:
        samples: the usable ones, in order.
        vlm: the model; of a folder, names, sizes and times of its files count too.
        tuning: the trainer's parameters.
        epochs: passes over the samples.
        seed: of every random choice.
        device: what it runs on.

    Returns:
        sha256, hex.
    """
    folder = Path(vlm.model)
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    settings = {
        "vlm": vlm.model_dump(),
        "files": [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files],
        "tuning": tuning.model_dump(exclude=set(WHO_TUNES)),
        "epochs": epochs,
        "seed": seed,
        "device": device.type,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for sample in samples:
        turns = [(turn.question, turn.response) for turn in sample.turns]
        digest.update(json.dumps([sample.sample_id, sample.image_sha, sample.uri, turns]).encode())
    return digest.hexdigest()


def mark_complete(checkpoint: Path, *, fingerprint: str, rows: Sequence[TrainingLogRow]) -> None:
    """Close a checkpoint that is fully written: its files are made durable, then the mark is set.

    Args:
        checkpoint: folder `checkpoint-N` of the trainer.
        fingerprint: `run_fingerprint`.
        rows: the log so far.
    """
    sync_files(checkpoint)
    write_json(checkpoint / COMPLETE, {"fingerprint": fingerprint, "rows": [asdict(row) for row in rows]})


def newest_checkpoint(directory: Path, *, fingerprint: str) -> Checkpoint | None:
    """Find where to continue; checkpoints that are incomplete or of another run are removed.

    Args:
        directory: what earlier runs left, if anything.
        fingerprint: `run_fingerprint` of this run.

    Returns:
        The newest complete checkpoint of the same run, or None: start anew.
    """
    newest: Checkpoint | None = None
    for path in sorted(directory.glob("checkpoint-*")):
        mark = path / COMPLETE
        if not mark.is_file():
            logger.info("%s is incomplete and removed", path)
            shutil.rmtree(path)
            continue
        record = json.loads(mark.read_text(encoding="utf-8"))
        if record["fingerprint"] != fingerprint:
            logger.warning("%s belongs to other samples, parameters or versions; it is removed", path)
            shutil.rmtree(path)
            continue
        step = int(path.name.rpartition("-")[2])
        if newest is None or step > newest.step:
            rows = tuple(TrainingLogRow(**row) for row in record["rows"])
            newest = Checkpoint(path=path, step=step, rows=rows)
    return newest
