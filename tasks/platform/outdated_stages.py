"""Which stages are not up to date, and why: what DVC finds changed, in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.platform.dvc_objects import open_repository
from tasks.platform.planned_stages import PlannedFiles, planned_stages
from tasks.platform.versioning import single_output
from tasks.platform.workspace import Workspace

# DVC's words for what became of a file or a parameter, in ours.
_CHANGED = {"modified": "changed", "new": "is new", "deleted": "is gone", "not in cache": "is not in the DVC cache"}
_NEVER_RAN = "has not run here yet"
_CODE_NAMED = 3  # files that a reason names


@dataclass(frozen=True, slots=True)
class OutdatedStage:
    """A stage that is not up to date.

    Attributes:
        stage: its name in dvc.yaml.
        reasons: what changed since it ran, in a few words each.
    """

    stage: str
    reasons: tuple[str, ...]


def outdated_stages(workspace: Workspace, *, changed: Sequence[Path] = ()) -> tuple[str, ...]:
    """Stages whose inputs, parameters, code or output changed since they ran, and those that read what these write.

    Args:
        workspace: whose stages.
        changed: files that a run would change before its first stage; relative paths start at the project root.
    """
    return tuple(outdated.stage for outdated in explain_outdated(workspace, changed=changed))


def explain_outdated(
    workspace: Workspace, *, changed: Sequence[Path] = (), planned: PlannedFiles | None = None
) -> tuple[OutdatedStage, ...]:
    """The stages that `outdated_stages` names, and why each of them is out of date.

    Args:
        workspace: whose stages.
        changed: files that a run would change before its first stage; relative paths start at the project root.
        planned: what takes the place of the workspace's own files; None: they are as they lie there.
    """
    outdated: list[OutdatedStage] = []
    written: dict[str, str] = {}
    with open_repository() as repo, repo.lock:
        inputs = {str(Path(repo.root_dir, path)): path.name for path in changed}
        path = str(workspace.pipeline_file)
        for stage in repo.stage.load_all(path=path) if planned is None else planned_stages(repo, path, planned):
            paths = [dependency.fs_path for dependency in stage.deps]
            news = [name for path, name in inputs.items() if any(_overlap(path, read) for read in paths)]
            upstream = [name for path, name in written.items() if any(_overlap(path, read) for read in paths)]
            reasons = list(_changes(stage))
            if reasons != [_NEVER_RAN]:
                reasons += [f"input {name} will change" for name in news]
                reasons += [f"reads what {', '.join(upstream)} will write"] if upstream else []
            if reasons:
                outdated.append(OutdatedStage(stage.name, tuple(reasons)))
                written[single_output(stage).fs_path] = stage.name
    return tuple(outdated)


def _changes(stage: Any) -> Iterator[str]:
    """What DVC finds changed of a stage since it ran: a reason each, code files together."""
    if not single_output(stage).hash_info:  # dvc.lock does not know it
        yield _NEVER_RAN
        return
    if stage.cmd_changed:
        yield "its command changed"
    kinds = [kind for kind in stage.status().get(stage.addressing, ()) if isinstance(kind, dict)]
    of_inputs = {path: how for kind in kinds for path, how in kind.get("changed deps", {}).items()}
    of_outputs = {path: how for kind in kinds for path, how in kind.get("changed outs", {}).items()}
    code = [path for path in of_inputs if not path.endswith(".yaml") and "data" not in Path(path).parts]
    for path, how in of_inputs.items():
        if isinstance(how, dict):  # by parameter
            yield from (f"parameter {name} {_CHANGED[state]}" for name, state in how.items())
        elif path not in code:
            yield f"input {path} {_CHANGED[how]}"
    if code:
        others = f" and {len(code) - _CODE_NAMED} more" if len(code) > _CODE_NAMED else ""
        yield f"code changed: {', '.join(code[:_CODE_NAMED])}{others}"
    yield from (f"output {path} {_CHANGED[how]}" for path, how in of_outputs.items())


def _overlap(path: str, other: str) -> bool:
    return Path(path).is_relative_to(other) or Path(other).is_relative_to(path)
