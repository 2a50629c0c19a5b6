"""Remembering the last finished curation of a workspace, and finding it again."""

from prefect import get_run_logger, task

from components.lineage.objects import file_hash
from components.recuration.finished import POOL, FinishedCuration, read_finished, write_finished
from components.strategies.load import load_strategy, strategies_that
from tasks.platform.declaration import StageDeclaration
from tasks.platform.dvc_objects import open_repository
from tasks.platform.run_archive import curation_runs, open_archive
from tasks.platform.stage import CurationRun
from tasks.platform.stage_graph import goes_on, stages_behind
from tasks.platform.tag_names import STRATEGY_TAG, WORKSPACE_TAG
from tasks.platform.versioning import outdated_stages
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
