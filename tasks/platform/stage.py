"""One stage of the pipeline as a Prefect task: cached by content, verified or restored on a hit, committed to DVC."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import pyarrow as pa
from prefect import task
from prefect.cache_policies import CachePolicy
from prefect.filesystems import LocalFileSystem
from prefect.results import ResultStore, get_result_store
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH

from components.parameters.parameters import Parameters
from components.schemas import SCHEMA_VERSION
from components.storage import write_record
from tasks.platform.declaration import Names, StageDeclaration, Uses
from tasks.platform.engine import engine_for, engine_of
from tasks.platform.failures import BACK_OFF_JITTER, BACK_OFF_SECONDS, explained, failure_may_pass
from tasks.platform.gpu_memory import free_gpu_memory
from tasks.platform.prefect_server import when_it_is_there
from tasks.platform.stage_context import CurationRun, StageBody, StageContext
from tasks.platform.stage_page import publish_stage_page
from tasks.platform.stage_tables import StageTable
from tasks.platform.stage_tracker import StageTracker
from tasks.platform.unpushed import push_or_remember
from tasks.platform.versioning import (
    Artifact,
    check_unchanged,
    commit_stage,
    data_paths,
    is_recorded,
    open_stage,
    output_hash,
    output_path,
    restore_output,
    stage_key,
)
from tasks.platform.workspace import STATE, Workspace

logger = logging.getLogger("presel.stage")


@dataclass(frozen=True, slots=True)
class PreparedStage:
    """A stage whose identity is known, ready to run or to be found in the cache.

    Attributes:
        name: with `@item`.
        key: digest of all that decides its output.
        path: of its output, relative to its workspace.
        reads: paths under `data/` that it reads, in the order of its declaration.
        run: the curation run.
    """

    name: str
    key: str
    path: str
    reads: tuple[str, ...]
    run: CurationRun


def _prepare(stage: Any, name: str, run: CurationRun) -> PreparedStage:
    return PreparedStage(name, stage_key(stage, run.workspace), output_path(stage), data_paths(stage), run)


@dataclass
class StageKeyPolicy(CachePolicy):
    """The cache key is the stage's key, computed before submission: a failure there fails the run.

    Prefect's own policies would see neither the content behind a path nor a changed helper, and a policy that raises
    inside Prefect is logged and the result silently not kept.
    """

    def compute_key(
        self,
        task_ctx: Any,  # noqa: ARG002 -- Prefect's interface
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],  # noqa: ARG002
        **_: Any,
    ) -> str:
        """The key that `StageTask` computed."""
        stage = inputs["stage"]
        assert isinstance(stage, PreparedStage)
        return stage.key


class StageTask:
    """A stage. Call it in a flow; `fn` is the body alone.

    Args:
        declaration: what it says of itself.
        body: loads, calls a component, saves.
    """

    def __init__(self, declaration: StageDeclaration, body: StageBody) -> None:
        self.declaration = declaration
        self.name = declaration.name
        self.fn = body
        retries = declaration.retries

        @task(
            name=self.name,
            task_run_name="{stage.name}",
            cache_policy=StageKeyPolicy(),
            persist_result=True,
            result_serializer="json",
            retries=retries,
            retry_delay_seconds=list(BACK_OFF_SECONDS[:retries]) or None,
            retry_jitter_factor=BACK_OFF_JITTER,
            retry_condition_fn=failure_may_pass,
        )
        def execute(stage: PreparedStage, inputs: tuple[Artifact, ...]) -> Artifact:  # noqa: ARG001 -- inputs draw the graph
            with explained(stage.run.workspace, stage.name, memory=declaration.memory):
                try:
                    return self._execute(stage)
                finally:
                    free_gpu_memory()

        self.task = execute

    def __call__(self, run: CurationRun, *inputs: Artifact, item: str = "") -> Artifact:
        """Run the stage, or find its result.

        Args:
            run: the curation run.
            inputs: artifacts it reads, for the order and the graph; its declaration says what is really read.
            item: which of several.

        Returns:
            The artifact; its content is at its path in the workspace when this returns.
        """
        name = f"{self.name}@{item}" if item else self.name
        store = _store_of(get_result_store(), self.task)
        with open_stage(run.workspace, name) as stage:
            prepared = _prepare(stage, name, run)
            cached = "missing" if run.refresh else _find_cached(store, prepared.key, stage)
            # What is there and recorded needs no second look at the repository, which is most of a cached run's time.
            recorded = cached == "there" and is_recorded(stage)
        refresh = cached == "missing"
        # A tag stands for a global concurrency limit: what is found in the cache must not wait for a GPU.
        uses = self.declaration.uses
        uses = uses(run.workspace.parameters()) if callable(uses) else uses
        tags = [uses] if refresh and uses else []
        execute = self.task.with_options(refresh_cache=refresh, tags=tags)
        artifact = when_it_is_there(lambda: execute(prepared, inputs))
        assert isinstance(artifact, Artifact)
        if not recorded:
            with explained(run.workspace, name):
                commit_stage(run.workspace, name, prepared.key)
        if refresh and run.workspace.parameters().versioning.push_to_remote:
            # At once, not at the end of the run: what is finished then outlives the machine it was computed on.
            push_stage(name, artifact.dvc_hash)
        return artifact

    def run_for_dvc(self, workspace: Workspace, name: str) -> Artifact:
        """Run the body for `dvc repro`, and leave the result where the flow's task finds it.

        DVC commits the output itself.
        """
        with workspace.exclusive():
            artifact, key = self._run_alone(workspace, name)
            storage = LocalFileSystem(basepath=str(PREFECT_LOCAL_STORAGE_PATH.value()))
            _store_of(ResultStore(result_storage=storage), self.task).write(artifact, key=key)
        return artifact

    def run_again(self, workspace: Workspace, name: str) -> Artifact:
        """Run the body outside a flow and commit what it wrote.

        A flow does not take it for a result: what a page says of the run that made it is missing here.
        """
        with workspace.exclusive():
            artifact, key = self._run_alone(workspace, name)
            commit_stage(workspace, name, key)
        return artifact

    def _run_alone(self, workspace: Workspace, name: str) -> tuple[Artifact, str]:
        with open_stage(workspace, name) as stage:
            prepared = _prepare(stage, name, CurationRun(workspace, label=f"stage-{uuid4()}"))
        with explained(workspace, name), engine_for(workspace.parameters().compute):
            artifact = self._execute(prepared)
        return artifact, prepared.key

    def _execute(self, stage: PreparedStage) -> Artifact:
        workspace = stage.run.workspace
        parameters = workspace.parameters()
        started = time.monotonic()
        with StageTracker(stage.run.mlflow_run_id, stage.name) as tracker:
            context = StageContext(
                workspace=workspace,
                parameters=parameters,
                reads=stage.reads,
                stage=stage.name,
                item=stage.name.partition("@")[2],
                output=Path(workspace.root) / stage.path,
                scratch=STATE / "scratch" / workspace.key / f"{stage.name}-{stage.key[:16]}",
                tracker=tracker,
                log=_log,
                engine=engine_of(stage.run.compute or parameters.compute, parameters),
                annotate_pool=stage.run.annotate_pool,
                run_label=stage.run.label,
                refresh=stage.run.refresh,
            )
            summary = self.fn(context)
            write_record(context.output, stage=stage.name, rows=summary.rows, schema_version=SCHEMA_VERSION)
            tracker.log_summary((*summary.metrics, ("seconds", time.monotonic() - started)), summary.note)
        _log(f"{summary.note} ({time.monotonic() - started:.1f} s)")
        with open_stage(workspace, stage.name) as declared:
            check_unchanged(declared, workspace, stage.key)
            dvc_hash = output_hash(declared)
        assert dvc_hash is not None
        if self.declaration.has_page:
            publish_stage_page(stage.name, summary.note, context.output, own_tables=self.declaration.tables)
        return Artifact(
            stage=stage.name,
            path=stage.path,
            dvc_hash=dvc_hash,
            rows=summary.rows,
            schema_version=SCHEMA_VERSION,
            seconds=time.monotonic() - started,
        )


def stage(
    description: str,
    *,
    reads: Names,
    writes: str,
    parameters: Names = (),
    persist: bool = False,
    each_baseline: bool = False,
    uses: Uses = None,
    retries: int = len(BACK_OFF_SECONDS),
    memory: tuple[str, ...] = (),
    disk: Callable[[pa.Table, Parameters, Path], int] | None = None,
    disk_while_it_runs: Callable[[pa.Table, Parameters], int] | None = None,
    buys: Callable[[Workspace, str], list[str]] | None = None,
    buys_when_told: bool = False,
    restored: bool = False,
    nothing: Callable[[Path], None] | None = None,
    tables: Callable[[Path], list[StageTable]] | None = None,
    has_page: bool = True,
) -> Callable[[StageBody], StageTask]:
    """Make a stage of a body; the function's name is the stage's. `StageDeclaration` says what the arguments mean."""

    def wrap(body: StageBody) -> StageTask:
        declaration = StageDeclaration(
            name=body.__name__,
            module=body.__module__,
            description=description,
            reads=reads,
            writes=writes,
            parameters=parameters,
            persist=persist,
            each_baseline=each_baseline,
            uses=uses,
            retries=retries,
            memory=memory,
            disk=disk,
            disk_while_it_runs=disk_while_it_runs,
            buys=buys,
            buys_when_told=buys_when_told,
            restored=restored,
            nothing=nothing,
            tables=tables,
            has_page=has_page,
        )
        return StageTask(declaration, body)

    return wrap


@task(
    name="push",
    task_run_name="push {stage}",
    persist_result=False,
    retries=len(BACK_OFF_SECONDS),
    retry_delay_seconds=list(BACK_OFF_SECONDS),
    retry_jitter_factor=BACK_OFF_JITTER,
    retry_condition_fn=failure_may_pass,
)
def push_stage(stage: str, dvc_hash: str) -> None:  # noqa: ARG001 -- the stage names the task run
    """Copy what a stage made to the DVC remote, or note that it has to be done."""
    push_or_remember({dvc_hash})


def _store_of(base: ResultStore, execute: Any) -> ResultStore:
    store = base.update_for_task(execute)
    # Prefect's method returns a coroutine where an event loop runs; stages are called from synchronous flows.
    assert isinstance(store, ResultStore)
    return store


def _find_cached(store: ResultStore, key: str, stage: Any) -> Literal["there", "restored", "missing"]:
    """Whether a result is cached and its artifact is really there, restored when it has to be."""
    if not store.exists(key):
        return "missing"
    try:
        artifact = store.read(key).result
    except ValueError as error:
        logger.warning("the cached result of %s is damaged (%s); it runs again", stage.addressing, error)
        return "missing"
    assert isinstance(artifact, Artifact)
    if output_hash(stage) == artifact.dvc_hash:
        return "there"
    restored = restore_output(stage, artifact.dvc_hash)
    logger.info("%s %s", stage.addressing, "restored from the DVC cache" if restored else "is lost and runs again")
    return "restored" if restored else "missing"


def _log(line: str) -> None:
    from prefect.context import FlowRunContext, TaskRunContext
    from prefect.logging import get_run_logger

    if TaskRunContext.get() or FlowRunContext.get():
        get_run_logger().info(line)
    else:
        logger.info(line)
