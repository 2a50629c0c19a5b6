"""Whether the weights of a model are all there: from the heads of its files, and from what was loaded."""

import json
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from components.pool.foreign_bytes import LONGEST_START, foreign_bytes

_WHOLE, _INDEX = "model.safetensors", "model.safetensors.index.json"


def check_weight_files(folder: str, model: Any) -> None:
    """See whether the files of a folder can hold a model's weights; only their heads are read.

    Args:
        folder: of the model; what is no folder is not looked at.
        model: built from its configuration, with or without values.

    Raises:
        ValueError: a file is missing or not whole, or all together hold fewer numbers than the model has.
    """
    if not Path(folder).is_dir():
        return
    held = sum(_numbers(file) for file in _weight_files(Path(folder)))
    wanted = sum(parameter.numel() for parameter in model.parameters())
    # Several numbers of a quantised model are packed into one.
    if held < wanted and getattr(model.config, "quantization_config", None) is None:
        raise ValueError(f"its files hold {held:,} numbers, and its config.json describes a model of {wanted:,}")


def check_complete(found: Mapping[str, Any], *, unused: tuple[str, ...] = ()) -> None:
    """See whether a checkpoint had all weights: those that it lacks would be drawn at random.

    Args:
        found: what transformers says of the loading.
        unused: endings of names that play no part.

    Raises:
        ValueError: it lacks some.
    """
    names = sorted([*found["missing_keys"], *(str(key) for key in found["mismatched_keys"])])
    lacking = [name for name in names if not name.endswith(unused)]
    if lacking:
        raise ValueError(f"its files lack {len(lacking)} of the weights, or hold them in other shapes: {lacking[0]}")


def _weight_files(folder: Path) -> list[Path]:
    """The files that transformers would open."""
    if (folder / _WHOLE).exists() or not (folder / _INDEX).exists():
        return [folder / _WHOLE]
    index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    return [folder / name for name in sorted(set(index["weight_map"].values()))]


def _numbers(file: Path) -> int:
    if not file.is_file():
        raise ValueError(f"{file} is not there")
    try:
        with safe_open(file, framework="numpy") as opened:
            return sum(prod(opened.get_slice(name).get_shape()) for name in opened.keys())  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        with file.open("rb") as stream:
            start = stream.read(LONGEST_START)
        # Every good file begins with a number of eight bytes, the last of them zeros: that alone shows no other kind.
        said = foreign_bytes(start) if start[:4].isascii() and 0 not in start[:4] else ""
        raise ValueError(f"{file} {said or f'is not whole ({error}); download or copy it again'}") from error
