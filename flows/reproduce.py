"""`presel reproduce`: a run's selection made again from its code and artifacts, and compared bit for bit."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console

from components.lineage.check_artifacts import Mismatch, compare_files
from components.lineage.lock_file import LineageError, LockedPath, LockedStage, ancestors, earlier_artifacts
from components.lineage.machine import machine_differences, this_machine
from components.lineage.objects import FindObject, check_out, folder_listing, listing_hash, listing_of
from components.strategies.names import STRATEGY_NAMES
from tasks.platform.dvc_objects import open_objects
from tasks.platform.rebuild import REPRODUCED, rebuild_project, run_stage
from tasks.platform.run_archive import RunArchive, find_run
from tasks.platform.workspace import Workspace
from tasks.stages import declarations_of

# Never bought again, whatever the stage was called when the run was made.
PURCHASES = "data/instructions/"


@dataclass(frozen=True, slots=True)
class RemadeStage:
    """What became of one stage.

    Attributes:
        name: of the stage.
        outcome: `restored` from the DVC cache; made again and `equal` or `different`; or it `failed`.
        expected: recorded hash of its output.
        found: hash of what was made; empty where nothing was.
        detail: why it failed.
        differences: files that differ.
    """

    name: str
    outcome: Literal["restored", "equal", "different", "failed"]
    expected: str
    found: str = ""
    detail: str = ""
    differences: tuple[Mismatch, ...] = ()


def reproduce_and_show(name: str | None, *, into: Path | None, tune: bool, anyway: bool) -> bool:
    """Make a run's selection again and print one line per stage.

    Args:
        name: of the run, as `find_run` takes it.
        into: folder to make it in; None: below `.presel/reproduced`.
        tune: also make the training set and the final tune again.
        anyway: on another type of machine too.

    Returns:
        Whether everything came out as it was recorded.

    Raises:
        LineageError: the run cannot be made again, or not here.
    """
    archive = find_run(name)
    target = into or (Path.cwd() / REPRODUCED / archive.run_id)
    if target.exists():
        raise LineageError(f"{target} exists already; give another folder with --into, or delete it")
    _check_machine(archive, anyway=anyway)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"run {archive.run_id}, commit {archive.commit}, into {target}", markup=False)
    everything_equal = True
    for stage in reproduce_run(archive, target, tune=tune):
        _show(stage, console)
        everything_equal &= stage.outcome in ("restored", "equal")
    console.print("the selection came out bit for bit" if everything_equal else "not everything came out as recorded")
    return everything_equal


def reproduce_run(archive: RunArchive, target: Path, *, tune: bool) -> Iterator[RemadeStage]:
    """Restore what is not to be made again, make the rest, and compare; ends with the first stage that fails.

    Args:
        archive: the run.
        target: folder to make; must not exist.
        tune: also make the training set and the final tune again.

    Yields:
        The stages in the order in which they run.

    Raises:
        LineageError: the run's code or an artifact is lost.
    """
    chain = ancestors(archive.stages, "data/model" if tune else "data/selection")
    workspace = rebuild_project(archive, target)
    with open_objects() as find:
        _restore_earlier(archive, workspace, find)
        for stage in chain:
            (output,) = stage.writes
            if _is_restored(stage):
                check_out(output, Path(workspace.root) / output.path, find, link=False)
                yield RemadeStage(stage.name, "restored", output.md5)
                continue
            problem = run_stage(workspace, target, stage.name)
            if problem:
                yield RemadeStage(stage.name, "failed", output.md5, detail=problem)
                return
            yield _compared(stage.name, output, workspace, find)


def _restore_earlier(archive: RunArchive, workspace: Workspace, find: FindObject) -> None:
    """Lay out what a recuration went on from; a curation from scratch has it among its snapshots."""
    for earlier in earlier_artifacts(archive.stages):
        target = Path(workspace.root) / earlier.path
        if not target.exists():
            check_out(earlier, target, find, link=False)


def _compared(name: str, output: LockedPath, workspace: Workspace, find: FindObject) -> RemadeStage:
    made = folder_listing(Path(workspace.root) / output.path)
    found = listing_hash(made)
    if found == output.md5:
        return RemadeStage(name, "equal", output.md5, found)
    differences = tuple(compare_files("reproduced", listing_of(output, find), made))
    return RemadeStage(name, "different", output.md5, found, differences=differences)


def _check_machine(archive: RunArchive, *, anyway: bool) -> None:
    recorded = archive.machine()
    if recorded is None:
        differences: tuple[str, ...] = ("the run did not record its machine",)
    else:
        differences = machine_differences(recorded, this_machine())
    if differences and not anyway:
        raise LineageError(
            "this is not the type of machine that the run was made on, so it may come out differently:\n  "
            + "\n  ".join(differences)
            + "\nUse such a machine with these libraries (constraints.txt of the run's commit), or say --anyway"
        )
    for difference in differences:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"warning: {difference}", markup=False)


def _is_restored(stage: LockedStage) -> bool:
    declared = {one.name for strategy in STRATEGY_NAMES for one in declarations_of(strategy) if one.restored}
    return stage.name in declared or any(output.path.startswith(PURCHASES) for output in stage.writes)


def _show(stage: RemadeStage, console: Console) -> None:
    console.print(f"{stage.name:<24}{stage.outcome:<11}{stage.expected.removesuffix('.dir')}", markup=False)
    if stage.outcome == "different":
        console.print(f"{'':<24}{'found':<11}{stage.found.removesuffix('.dir')}", markup=False)
        for difference in stage.differences:
            console.print(
                f"  {difference.name}: expected {difference.expected}, found {difference.found}", markup=False
            )
    if stage.detail:
        console.print(f"  {stage.detail}", markup=False)
