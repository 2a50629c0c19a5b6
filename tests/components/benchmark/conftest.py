"""A small held-out set on disk."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from components.parameters.parameters import BenchmarkSet


@pytest.fixture
def image_root(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    root.mkdir()
    for name in ("red", "green", "blue"):
        Image.new("RGB", (16, 12), name).save(root / f"{name}.png")
    (root / "broken.png").write_bytes((root / "red.png").read_bytes()[:40])
    (tmp_path / "outside.png").write_bytes((root / "red.png").read_bytes())
    (root / "link.png").symlink_to(tmp_path / "outside.png")
    return root


@pytest.fixture
def write_set(tmp_path: Path, image_root: Path) -> Callable[..., BenchmarkSet]:
    def write(records: Sequence[object], *, metric: str = "exact_match", name: str = "set") -> BenchmarkSet:
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(records))
        return BenchmarkSet(name=name, path=str(path), image_root=str(image_root), metric=metric)

    return write


def record(name: str, *texts: str, image: object = None, **more: object) -> dict[str, object]:
    """A LLaVA record about the image called `name`."""
    messages = [{"from": "gpt" if number % 2 else "human", "value": text} for number, text in enumerate(texts)]
    return {"id": name, "image": image or f"{name}.png", "conversations": messages, **more}
