"""`data/earlier`: what a recuration goes on from, restored from the DVC cache or remote by hash."""

from collections.abc import Mapping
from pathlib import Path

from prefect import get_run_logger, task

from components.lineage.lock_file import LockedPath
from components.lineage.objects import FindObject, check_out, file_hash, folder_listing, listing_hash
from components.pool.manifest import read_quarantine, read_samples
from components.recuration.finished import POOL, FinishedCuration
from components.recuration.pool_changes import PoolChanges, pool_changes
from components.schemas import SAMPLES
from components.storage import fresh_directory, read_table, write_json
from components.strategies.load import load_strategy
from tasks.platform.dvc_objects import open_objects
from tasks.platform.finished import chooses_alike, has_same_pool, reads_alike
from tasks.platform.journal import log_values
from tasks.platform.stage import CurationRun
from tasks.platform.stage_graph import earlier_reads, makers
from tasks.platform.tag_names import GOES_ON_FROM_TAG
from tasks.platform.workspace import Workspace
from tasks.stages import declarations_of


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
