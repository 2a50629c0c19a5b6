"""The last finished curation of a workspace: remembered, found again, and gone on from (`data/earlier`)."""

from collections.abc import Mapping
from pathlib import Path

from prefect import get_run_logger, task

from components.lineage.lock_file import LockedPath
from components.lineage.objects import FindObject, check_out, file_hash, folder_listing, listing_hash
from components.pool.manifest import read_quarantine, read_samples
from components.recuration.finished import POOL, FinishedCuration, read_finished, write_finished
from components.recuration.pool_changes import PoolChanges, pool_changes
from components.schemas import SAMPLES
from components.storage import fresh_directory, read_table, write_json
from components.strategies.load import load_strategy, strategies_that
from tasks.platform.declaration import StageDeclaration, earlier_reads, goes_on, makers, stages_behind
from tasks.platform.dvc_objects import open_objects, open_repository
from tasks.platform.journal import log_values
from tasks.platform.outdated_stages import outdated_stages
from tasks.platform.run_archive import curation_runs, open_archive
from tasks.platform.stage_context import CurationRun
from tasks.platform.tag_names import GOES_ON_FROM_TAG, STRATEGY_TAG, WORKSPACE_TAG
from tasks.platform.workspace import Workspace
from tasks.stages import declarations_of

_RECORD = "finished.json"


@task(name="record_finished", persist_result=False)
def record_finished(run: CurationRun) -> None:
    """Remember this curation as the last one that finished: a recuration goes on from it."""
    place = run.workspace
    assert run.mlflow_run_id is not None
    lock_text = place.lock_file.read_text(encoding="utf-8")
    finished = FinishedCuration(run.mlflow_run_id, place.parameters().strategy, lock_text)
    write_finished(place.artifact(_RECORD), finished)


def last_finished(place: Workspace) -> FinishedCuration | None:
    """The last curation that finished in a workspace, as the workspace remembers it."""
    return read_finished(place.artifact(_RECORD))


def find_finished(place: Workspace) -> FinishedCuration | None:
    """The last curation that finished in a workspace.

    Where the workspace has been emptied, MLflow knows it.

    Returns:
        None: there was none.
    """
    known = last_finished(place)
    if known is not None:
        return known
    for run in curation_runs():
        if run.info.status == "FINISHED" and run.data.tags[WORKSPACE_TAG] == place.root:
            archive = open_archive(run.info.run_id)
            return FinishedCuration(archive.run_id, archive.tags[STRATEGY_TAG], archive.lock_text)
    return None


def is_as_finished(place: Workspace, finished: FinishedCuration) -> bool:
    """Whether everything is as that curation left it, what it read included, so that a run would do nothing."""
    lock = place.lock_file
    if not lock.exists() or lock.read_text(encoding="utf-8") != finished.lock_text:
        return False
    return not outdated_stages(place)


def has_same_pool(place: Workspace, finished: FinishedCuration) -> bool:
    """Whether the manifest holds the samples of that curation."""
    return file_hash(place.artifact(POOL)) == finished.pool_hash


def chooses_alike(place: Workspace, finished: FinishedCuration) -> bool:
    """Whether the parameters of the stages that go on from an earlier curation are those of that curation."""
    from dvc.dependency.param import ParamsDependency

    strategy = load_strategy(place.parameters().strategy)
    choosing = [stage.name for stage in _deciding_stages(place) if goes_on(stage, strategy)]
    with open_repository() as repository:
        stages = repository.stage.load_all(path=str(place.pipeline_file))
        read_now = {
            stage.name: {
                name: value
                for dependency in stage.deps
                if isinstance(dependency, ParamsDependency)
                for name, value in dependency.read_params().items()
            }
            for stage in stages
            if stage.name in choosing
        }
    return all(finished.parameters_of(name) == values for name, values in read_now.items())


def reads_alike(place: Workspace, finished: FinishedCuration) -> bool:
    """Whether what comes from outside into the stages that choose (code, annotations, models) is as it was then."""
    deciding = [stage.name for stage in _deciding_stages(place)]
    then = {path.path: path.md5 for path in finished.read_from_outside(deciding)}
    with open_repository() as repository:
        stages = repository.stage.load_all(path=str(place.pipeline_file))
        present = {
            dependency.def_path: dependency.get_hash().value
            for stage in stages
            if stage.name in deciding
            for dependency in stage.deps
            if dependency.def_path in then and dependency.exists
        }
    return present == then


def _deciding_stages(place: Workspace) -> tuple[StageDeclaration, ...]:
    """The stages that what is chosen rests on."""
    strategy = place.parameters().strategy
    return stages_behind("selection", declarations_of(strategy), load_strategy(strategy))


def warn_of_changed_pool(place: Workspace) -> None:
    """Say what `presel run` does not do: go on from a curation of another pool."""
    finished = last_finished(place)
    able = strategies_that("can_recurate")
    if finished is not None and finished.strategy in able and not has_same_pool(place, finished):
        get_run_logger().warning(
            "the pool is not that of the last curation (run %s): this run does not keep what that one picked, "
            "`presel recurate` does",
            finished.run,
        )


def start_from_nothing(place: Workspace) -> None:
    """Make the next run a curation from scratch: what its stages go on from becomes what they say stands for nothing.

    What was there is replaced at once.
    """
    stages = declarations_of(place.parameters().strategy)
    with fresh_directory(place.artifact("earlier")) as fresh:
        for stage in makers(_wanted(place), stages):
            assert stage.nothing is not None, f"stage {stage.name} is gone on from, but does not say from what at first"
            stage.nothing(fresh / stage.writes)


def ensure_earlier(place: Workspace) -> None:
    """Make sure that `data/earlier` is complete; a workspace that has none starts from nothing."""
    if not all((place.artifact("earlier") / name).exists() for name in _wanted(place)):
        start_from_nothing(place)


def _wanted(place: Workspace) -> tuple[str, ...]:
    """What the stages of a workspace go on from, by its place below `data/earlier`."""
    strategy = place.parameters().strategy
    return earlier_reads(declarations_of(strategy), load_strategy(strategy))


@task(name="go_on_from", persist_result=False, retries=2, retry_delay_seconds=5)
def go_on_from(run: CurationRun, finished: FinishedCuration) -> PoolChanges:
    """Bring `data/earlier` to what this run goes on from.

    That is the last finished curation when the pool, or a parameter, a file or code that decides the choice has changed
    since, and otherwise what that curation went on from itself, so that every stage finds its result.

    Args:
        run: the recuration.
        finished: the last finished curation of its workspace.

    Returns:
        How the pool differs from what it goes on from.
    """
    place = run.workspace
    moves_on = not (has_same_pool(place, finished) and chooses_alike(place, finished) and reads_alike(place, finished))
    wanted = finished.left_behind(_wanted(place)) if moves_on else finished.went_on_from()
    if _present(place.artifact("earlier"), wanted) != {name: path.md5 for name, path in wanted.items()}:
        with open_objects() as find:
            _restore(place.artifact("earlier"), wanted, find, run=finished.run)
    changes = pool_changes(
        read_table(place.artifact("earlier") / POOL, SAMPLES),
        read_samples(place.artifact("manifest")),
        read_quarantine(place.artifact("manifest")),
    )
    get_run_logger().info("going on from run %s: %s", finished.run, changes.sentence)
    _tell_mlflow(run, finished, changes)
    return changes


def _present(directory: Path, wanted: Mapping[str, LockedPath]) -> dict[str, str]:
    """The hashes of what is there."""
    found = {}
    for name in wanted:
        path = directory / name
        if path.is_file():
            found[name] = file_hash(path)
        elif path.is_dir():
            found[name] = listing_hash(folder_listing(path))
    return found


def _restore(directory: Path, wanted: Mapping[str, LockedPath], find: FindObject, *, run: str) -> None:
    with fresh_directory(directory) as fresh:
        for name, path in wanted.items():
            check_out(path, fresh / name, find, link=False)
        hashes = {name: path.md5 for name, path in wanted.items()}
        write_json(fresh / "earlier.json", {"mlflow_run": run, "artifacts": hashes})


def _tell_mlflow(run: CurationRun, finished: FinishedCuration, changes: PoolChanges) -> None:
    assert run.mlflow_run_id is not None
    counts = {"images_new": len(changes.new), "images_changed": len(changes.changed), "images_gone": len(changes.gone)}
    log_values(
        run.mlflow_run_id,
        metrics=[(name, float(count)) for name, count in counts.items()],
        tags=[(GOES_ON_FROM_TAG, finished.run)],
    )
