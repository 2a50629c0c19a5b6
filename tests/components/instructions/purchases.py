"""What tests of buying share: images to ask about, a template, a price."""

import hashlib
from pathlib import Path

import yaml
from PIL import Image

from components.instructions.request import InstructionRequest
from components.pool.samples import sample_identity
from tests.imports_of import ROOT

PRICE = {
    "model": "test-model",
    "input_usd": 3.0,
    "output_usd": 6.0,
    "batch_factor": 0.5,
    "image_tokens": {"fixed": 64},
    "as_of": "2026-11-01",
}


def draw_requests(folder: Path, count: int, *, task: str = "color") -> list[InstructionRequest]:
    """Ask about so many small images, each different."""
    folder.mkdir(parents=True, exist_ok=True)
    requests = []
    for number in range(count):
        path = folder / f"{number}.png"
        if not path.exists():
            Image.new("RGB", (8, 8), (number % 256, number // 256, len(task))).save(path)
        sha = hashlib.sha256(path.read_bytes()).hexdigest()
        requests.append(InstructionRequest(sample_identity(task, sha), task, sha, str(path), (str(number),)))
    return requests


def write_template(folder: Path, name: str = "default", **changes: object) -> Path:
    """The shipped template, with changes; returns the folder."""
    values = yaml.safe_load((ROOT / "conf" / "prompts" / "default.yaml").read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({**values, **changes}), encoding="utf-8")
    return folder
