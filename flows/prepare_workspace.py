"""Where a run lives: the project itself for `params.yaml` as it is, a folder under `runs/` for anything else."""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from components.parameters.parameters import ParameterError, Parameters
from components.parameters.reading import merge_overlays, parse_parameters
from components.storage import write_text
from flows.pipeline import pipeline_text
from tasks.platform.planned_stages import PlannedFiles
from tasks.platform.workspace import Workspace

RUNS = Path("runs")
BASE = Path("params.yaml")
_WRITTEN = "# Written by `presel run` from "  # the head of a workspace's params.yaml, before what it is made of
NAME = re.compile(r"\w[\w.-]{0,99}")  # a folder's name


def chosen_settings(
    settings: Sequence[str] = (), *, strategy: str | None = None, budget: str | None = None, provider: str | None = None
) -> list[str]:
    """What options and forms name by itself, as `section.key=value` before the settings that a person wrote."""
    named = (("strategy", strategy), ("budget", budget), ("instructions.provider", provider))
    return [*(f"{key}={json.dumps(value)}" for key, value in named if value is not None), *settings]


def prepare_workspace(
    *, overlays: Sequence[Path] = (), settings: Sequence[str] = (), name: str | None = None
) -> Workspace:
    """Check the parameters and lay out the workspace they belong to.

    Args:
        overlays: parameter files laid over params.yaml, in order.
        settings: `section.key=value`, laid over them.
        name: folder under `runs/`; by default the overlays' names, or a digest of the settings.

    Returns:
        The project root's workspace when nothing is changed and no name given, else `runs/NAME`. Its dvc.yaml is what
        the stages declare now. All workspaces share one DVC cache and one Prefect cache: equal work is done once.

    Raises:
        ParameterError: the parameters or the name are not usable.
    """
    resolved = resolve_workspace(overlays=overlays, settings=settings, name=name)
    workspace = resolved.workspace
    texts = {workspace.pipeline_file: resolved.files.pipeline}
    if workspace.root != ".":
        header = f"{_WRITTEN}{resolved.origin}; the next such run writes it again.\n"
        texts = {workspace.parameter_file: header + resolved.files.parameters, **texts}
    _write_changed(workspace, texts)
    return workspace


def update_pipeline(workspace: Workspace) -> None:
    """Bring the dvc.yaml of a workspace to what its stages declare now: they may have changed since it was laid out."""
    text = pipeline_text(workspace.parameters().strategy, Path(workspace.root))
    _write_changed(workspace, {workspace.pipeline_file: text})


def _write_changed(workspace: Workspace, texts: Mapping[Path, str]) -> None:
    if any(not path.exists() or path.read_text(encoding="utf-8") != text for path, text in texts.items()):
        with workspace.exclusive():  # other parameters under a run that is working would spoil its work
            for path, text in texts.items():
                write_text(path, text)


@dataclass(frozen=True, slots=True)
class ResolvedWorkspace:
    """A workspace before it is laid out.

    Attributes:
        workspace: where it is to be.
        parameters: checked.
        values: the same as they are written down.
        origin: what they were put together from.
    """

    workspace: Workspace
    parameters: Parameters
    values: dict[str, object]
    origin: str

    @property
    def files(self) -> PlannedFiles:
        """What `prepare_workspace` writes, apart from a header."""
        text = yaml.safe_dump(self.values, sort_keys=False, allow_unicode=True)
        return PlannedFiles(pipeline_text(self.parameters.strategy, Path(self.workspace.root)), text)


def resolve_workspace(
    *, overlays: Sequence[Path] = (), settings: Sequence[str] = (), name: str | None = None
) -> ResolvedWorkspace:
    """What `prepare_workspace` would lay out, without writing anything; the same arguments, the same errors."""
    values = merge_overlays(BASE, overlays, settings)
    origin = " + ".join([_files(overlays), *settings])
    parameters = parse_parameters(values, origin=origin)
    base = merge_overlays(BASE)
    if name is None and values == base:
        return ResolvedWorkspace(Workspace("."), parameters, values, origin)
    usual = parameters.strategy == base["strategy"]
    chosen = name or _default_name(overlays, settings, "" if usual else parameters.strategy)
    check_name(chosen)
    return ResolvedWorkspace(Workspace(str(RUNS / chosen)), parameters, values, origin)


def check_name(name: str) -> None:
    """Refuse what cannot be a folder's name under `runs/`.

    Raises:
        ParameterError: it is none.
    """
    if not NAME.fullmatch(name):
        raise ParameterError(f"--name {name!r}: use at most 100 letters, digits, '.', '_' and '-'")


def base_parameters(overlays: Sequence[Path], settings: Sequence[str]) -> Parameters:
    """The project's own parameters with what is laid over them."""
    return parse_parameters(merge_overlays(BASE, overlays, settings), origin=str(BASE))


def all_workspaces() -> tuple[Workspace, ...]:
    """The project's own workspace, and those under `runs/`."""
    return (Workspace("."), *(Workspace(str(path.parent)) for path in sorted(RUNS.glob("*/dvc.yaml"))))


def find_workspace(name: str | None) -> Workspace:
    """A workspace that exists already.

    Raises:
        ParameterError: it does not.
    """
    workspace = Workspace("." if name is None else str(RUNS / name))
    # `..` would be the project itself under another name, with another lock.
    if not (name is None or NAME.fullmatch(name)) or not workspace.pipeline_file.is_file():
        there = sorted(path.parent.name for path in RUNS.glob("*/dvc.yaml"))
        raise ParameterError(f"no run named {name!r}; there are {', '.join(there) or 'none yet'}")
    return workspace


def _default_name(overlays: Sequence[Path], settings: Sequence[str], strategy: str) -> str:
    """The overlays, the strategy where it is not that of params.yaml, and a digest of all other settings.

    Overlays of one name in different folders are told apart: the first has the plain name.
    """
    others = [setting for setting in settings if setting.partition("=")[0] != "strategy"]
    parts = [*(overlay.stem for overlay in overlays), *([strategy] if strategy else [])]
    if others:
        parts.append(_digest(json.dumps(others)))
    name, files = "-".join(parts), _files(overlays)
    laid_out = RUNS / name / BASE
    if not overlays or not laid_out.is_file():
        return name
    with laid_out.open(encoding="utf-8") as stream:
        header = stream.readline()
    taken = header.startswith(_WRITTEN) and not header.startswith((f"{_WRITTEN}{files};", f"{_WRITTEN}{files} + "))
    return f"{name}-{_digest(files)}" if taken else name


def _files(overlays: Sequence[Path]) -> str:
    return " + ".join([str(BASE), *(os.path.relpath(overlay) for overlay in overlays)])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
