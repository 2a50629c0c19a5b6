"""A small annotated pool: images on disk, the annotation file, and the requests for some of them."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from components.instructions.request import InstructionRequest
from components.parameters import AnnotationFile
from components.records import sample_identity


def conversation(*texts: object) -> list[dict[str, object]]:
    return [{"from": "gpt" if number % 2 else "human", "value": text} for number, text in enumerate(texts)]


@pytest.fixture
def image_root(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    root.mkdir()
    for name in ("a", "b", "c", "d"):
        (root / f"{name}.png").write_bytes(f"bytes of {name}".encode())
    (root / "a-copy.png").write_bytes(b"bytes of a")
    return root


@pytest.fixture
def write_annotations(tmp_path: Path, image_root: Path) -> Callable[..., AnnotationFile]:
    def write(records: Sequence[object], name: str = "annotations.json") -> AnnotationFile:
        path = tmp_path / name
        path.write_text(json.dumps(records, indent=1), encoding="utf-8")
        return AnnotationFile(path=str(path), image_root=str(image_root))

    return write


@pytest.fixture
def request_for(image_root: Path) -> Callable[..., InstructionRequest]:
    def make(image: str, *record_ids: str, task: str = "color") -> InstructionRequest:
        sha = hashlib.sha256((image_root / image).read_bytes()).hexdigest()
        return InstructionRequest(
            sample_id=sample_identity(task, sha),
            task=task,
            image_sha=sha,
            uri=str(image_root / image),
            record_ids=record_ids or (image.split(".", maxsplit=1)[0],),
        )

    return make
