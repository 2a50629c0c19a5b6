"""What the trainer says while it runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from components.schemas import TRAINING_LOG


@dataclass(frozen=True, slots=True)
class TrainingLogRow:
    """Metrics at one optimiser update; the columns of `schemas.TRAINING_LOG` and the speed.

    Attributes:
        step: optimiser updates so far.
        epoch: passes over the samples so far.
        loss: mean negative log-likelihood per response token, nats, over the updates since the last row.
        learning_rate: of this update.
        gradient_norm: L2 norm of this update's gradient, before clipping.
        samples_per_second: since the last row; differs from run to run, so it is tracked but not in the table.
    """

    step: int
    epoch: float
    loss: float
    learning_rate: float
    gradient_norm: float
    samples_per_second: float


def log_table(rows: Sequence[TrainingLogRow]) -> pa.Table:
    """Turn rows into a table with the columns of `schemas.TRAINING_LOG`."""
    columns = {name: [getattr(row, name) for row in rows] for name in TRAINING_LOG.names}
    return pa.table(columns, schema=TRAINING_LOG)
