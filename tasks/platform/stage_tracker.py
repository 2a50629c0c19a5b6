"""What MLflow is told of a stage: a nested run, for each that computes something worth a number."""

from collections.abc import Sequence
from types import TracebackType

from tasks.platform.journal import log_values, open_run, set_status
from tasks.platform.tag_names import STAGE_TAG
from tasks.platform.tracking import metric_name


class StageTracker:
    """Metrics of one stage. Its nested run is created with the first of them.

    Args:
        parent_run_id: the curation run; None: metrics are not kept (`dvc repro`).
        stage: the stage's name.
    """

    def __init__(self, parent_run_id: str | None, stage: str) -> None:
        self._parent_run_id = parent_run_id
        self._stage = stage
        self._run_id: str | None = None

    def __enter__(self) -> "StageTracker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._run_id is not None:
            set_status(self._run_id, "FINISHED" if error is None else "FAILED")

    @property
    def parent_run_id(self) -> str | None:
        """The curation run, when there is one."""
        return self._parent_run_id

    def log_metrics(self, metrics: Sequence[tuple[str, float]], *, step: int = 0) -> None:
        """Keep numbers of one moment, as (name, value)."""
        run_id = self._open()
        if run_id is not None:
            log_values(run_id, metrics=[(metric_name(name), value) for name, value in metrics], step=step)

    def log_summary(self, metrics: tuple[tuple[str, float], ...], note: str) -> None:
        """Keep the stage's final numbers; a stage with none but its duration gets no run."""
        if len(metrics) == 1 and self._run_id is None:
            return
        run_id = self._open()
        if run_id is not None:
            named = [(metric_name(name), value) for name, value in metrics]
            log_values(run_id, metrics=named, tags=[("mlflow.note.content", note)])

    def _open(self) -> str | None:
        if self._parent_run_id is not None and self._run_id is None:
            self._run_id = open_run(self._stage, parent=self._parent_run_id, tags=[(STAGE_TAG, self._stage)])
        return self._run_id
