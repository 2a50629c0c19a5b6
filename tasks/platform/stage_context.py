"""What a stage's body is given, and what it gives back."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from components.compute.engine import Engine
from components.errors import UserError
from components.parameters.compute import ComputeParameters
from components.parameters.parameters import Parameters
from tasks.platform.stage_page import LoggedProgress
from tasks.platform.stage_tracker import StageTracker
from tasks.platform.workspace import Workspace


class StageRefusedError(UserError, RuntimeError):
    """A stage does not go on without a person's word; trying again would change nothing."""


@dataclass(frozen=True, slots=True)
class CurationRun:
    """What every stage of one run shares.

    Attributes:
        workspace: where it lives.
        mlflow_run_id: the parent run in MLflow; None outside a flow (`dvc repro`).
        refresh: run every stage even when its result is cached.
        annotate_pool: instructions may be bought for the whole pool.
        label: under which money is booked; retries of a run keep it, so a limit holds for all of them together.
        compute: where it computes; None: as the workspace's parameters say.
    """

    workspace: Workspace
    mlflow_run_id: str | None = None
    refresh: bool = False
    annotate_pool: bool = False
    label: str = ""
    compute: ComputeParameters | None = None


@dataclass(frozen=True, slots=True)
class StageSummary:
    """What a stage's body reports.

    Attributes:
        rows: rows of the artifact's main table.
        note: one line for a person.
        metrics: numbers worth keeping, as (name, value).
    """

    rows: int
    note: str
    metrics: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class StageContext:
    """What a stage's body may use.

    Attributes:
        workspace: where its inputs are.
        parameters: all parameters; its declaration says which of them the stage depends on.
        reads: paths under `data/` that it reads, in the order of its declaration.
        stage: its name, with `@item`.
        item: which of several it is: the baseline; empty for a stage there is one of.
        output: the directory to write.
        scratch: a directory for checkpoints that survives a kill and belongs to exactly this work.
        tracker: where metrics go while it runs.
        log: where a line for a person goes.
        engine: where heavy work is done; it changes no result.
        annotate_pool: instructions may be bought for the whole pool.
        run_label: under which money is booked.
        refresh: a person wants everything done anew.
    """

    workspace: Workspace
    parameters: Parameters
    reads: tuple[str, ...]
    stage: str
    item: str
    output: Path
    scratch: Path
    tracker: StageTracker
    log: Callable[[str], None]
    engine: Engine
    annotate_pool: bool = False
    run_label: str = ""
    refresh: bool = False

    @property
    def in_flow(self) -> bool:
        """Whether a flow runs it, in which a person can be asked; `dvc repro` runs none."""
        return self.tracker.parent_run_id is not None

    def input(self, name: str) -> Path:
        """The directory of an artifact that the stage reads."""
        return self.workspace.artifact(name)

    def progress(self, what: str) -> LoggedProgress:
        """A progress listener that logs, and moves the bar in the Prefect UI, at most every two seconds."""
        return LoggedProgress(what, self.log)


StageBody = Callable[[StageContext], StageSummary]
