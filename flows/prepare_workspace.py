"""Where a run lives: the project itself for `params.yaml` as it is, a folder under `runs/` for anything else."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from components.parameters import ParameterError, merge_overlays, parse_parameters
from components.storage import write_text
from tasks.workspace import Workspace

RUNS = Path("runs")
BASE = Path("params.yaml")
PIPELINE = Path("dvc.yaml")
NAME = re.compile(r"[\w][\w.-]*")


def prepare_workspace(
    *, overlays: Sequence[Path] = (), settings: Sequence[str] = (), name: str | None = None
) -> Workspace:
    """Check the parameters and lay out the workspace they belong to.

    Args:
        overlays: parameter files laid over params.yaml, in order.
        settings: `section.key=value`, laid over them.
        name: folder under `runs/`; by default the overlays' names, or a digest of the settings.

    Returns:
        The project root's workspace when nothing is changed and no name given, else `runs/NAME`. All workspaces share
        one DVC cache and one Prefect cache, so equal work is done once.

    Raises:
        ParameterError: the parameters or the name are not usable.
    """
    values = merge_overlays(BASE, overlays, settings)
    origin = " + ".join([str(BASE), *(os.path.relpath(overlay) for overlay in overlays), *settings])
    parse_parameters(values, origin=origin)
    if not overlays and not settings and name is None:
        return Workspace(".")
    chosen = name or _default_name(overlays, settings)
    if not NAME.fullmatch(chosen):
        raise ParameterError(f"--name {chosen!r}: use letters, digits, '.', '_' and '-' only")
    workspace = Workspace(str(RUNS / chosen))
    header = f"# Written by `presel run` from {origin}; the next such run writes it again.\n"
    _write_if_changed(workspace.parameter_file, header + yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    _write_if_changed(workspace.pipeline_file, header + _pipeline_of(workspace))
    return workspace


@contextmanager
def discard_if_new() -> Iterator[None]:
    """Remove the workspaces that the block lays out: a plan leaves none behind."""
    before = set(RUNS.glob("*"))
    try:
        yield
    finally:
        for folder in set(RUNS.glob("*")) - before:
            shutil.rmtree(folder)
        if RUNS.is_dir() and not any(RUNS.iterdir()):
            RUNS.rmdir()


def find_workspace(name: str | None) -> Workspace:
    """A workspace that exists already.

    Raises:
        ParameterError: it does not.
    """
    workspace = Workspace("." if name is None else str(RUNS / name))
    if not workspace.pipeline_file.is_file():
        there = sorted(path.parent.name for path in RUNS.glob("*/dvc.yaml"))
        raise ParameterError(f"no run named {name!r}; there are {', '.join(there) or 'none yet'}")
    return workspace


def _default_name(overlays: Sequence[Path], settings: Sequence[str]) -> str:
    parts = [overlay.stem for overlay in overlays]
    if settings:
        parts.append(hashlib.sha256(json.dumps(list(settings)).encode()).hexdigest()[:8])
    return "-".join(parts)


def _pipeline_of(workspace: Workspace) -> str:
    """The project's stages with the paths of its code as seen from the workspace; data paths stay inside it."""
    pipeline = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))
    up = os.path.relpath(".", workspace.root)
    for stage in pipeline["stages"].values():
        body = stage.get("do", stage)
        body["deps"] = [path if path.startswith("data/") else f"{up}/{path}" for path in body["deps"]]
    return yaml.safe_dump(pipeline, sort_keys=False)


def _write_if_changed(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
