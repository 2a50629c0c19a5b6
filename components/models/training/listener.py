"""What listens to transformers' trainer: metrics go out, checkpoints are closed, divergence stops it."""

import math
import time
from collections.abc import Callable
from pathlib import Path

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from components.models.training import process_group
from components.models.training.checkpoints import Checkpoint, mark_complete
from components.models.training.training_log import TrainingLogRow


class DivergedError(RuntimeError):
    """The loss or its gradient is no longer finite; the message says which parameters to change."""


class TrainingListener(TrainerCallback):  # type: ignore[misc]  # transformers is not typed
    """Passes the trainer's metrics on and closes its checkpoints; of several processes the first does both.

    Args:
        on_log: gets every row of the log, those before `checkpoint` first.
        checkpoint: where the run continues, if it does.
        fingerprint: of the run, for its checkpoints.
        samples: samples per epoch.
        epochs_after: passes over them after a number of updates.

    Attributes:
        rows: the log so far.
    """

    def __init__(
        self,
        on_log: Callable[[TrainingLogRow], None],
        checkpoint: Checkpoint | None,
        *,
        fingerprint: str,
        samples: int,
        epochs_after: Callable[[int], float],
    ) -> None:
        self.rows: list[TrainingLogRow] = list(checkpoint.rows) if checkpoint else []
        self._on_log = on_log if process_group.is_first() else _say_nothing
        self._fingerprint = fingerprint
        self._samples = samples
        self._epochs_after = epochs_after
        self._last_time = 0.0
        self._last_epoch = 0.0

    def on_train_begin(
        self, _args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: object
    ) -> None:
        """Repeat the earlier run's rows and start the clock."""
        for row in self.rows:
            self._on_log(row)
        self._last_time = time.monotonic()
        self._last_epoch = self._epochs_after(state.global_step)

    def on_step_end(self, _args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Log the last update whatever its number; save no checkpoint there, the adapter is written next."""
        if state.global_step >= state.max_steps:
            control.should_log = True
            control.should_save = False

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        _control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        """Pass metrics on.

        Raises:
            DivergedError: they are not finite.
        """
        if logs is None or "loss" not in logs:  # the trainer's summary at its end
            return
        if not math.isfinite(logs["loss"]) or not math.isfinite(logs["grad_norm"]):
            raise DivergedError(
                f"the loss is {logs['loss']} and its gradient's norm {logs['grad_norm']} at update "
                f"{state.global_step}; lower tuning.learning_rate (now {args.learning_rate})"
            )
        now, epoch = time.monotonic(), self._epochs_after(state.global_step)
        row = TrainingLogRow(
            step=state.global_step,
            epoch=epoch,
            loss=logs["loss"],
            learning_rate=logs["learning_rate"],
            gradient_norm=logs["grad_norm"],
            samples_per_second=(epoch - self._last_epoch) * self._samples / max(now - self._last_time, 1e-9),
        )
        self._last_time, self._last_epoch = now, epoch
        self.rows.append(row)
        self._on_log(row)

    def on_save(self, args: TrainingArguments, state: TrainerState, _control: TrainerControl, **_: object) -> None:
        """Close the checkpoint that the trainer has just written."""
        process_group.wait_for_all()  # each process writes the state of its random numbers into it
        if process_group.is_first():
            path = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            mark_complete(path, fingerprint=self._fingerprint, rows=self.rows)


def _say_nothing(_row: TrainingLogRow) -> None:
    """Listen to the processes that are not the first, whose rows are the same."""
