"""Training curves: the loss over the passes of each tune."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.report.geometry import Axis, line_path, linear_axis
from components.report.inputs import TrainingRun

POINTS = 400  # of a curve at most


@dataclass(frozen=True, slots=True)
class Curve:
    """One tune: its line from 0 to 100 in both directions, and its numbers."""

    key: str
    name: str
    path: str
    updates: int
    epochs: float
    first_loss: float
    last_loss: float


@dataclass(frozen=True, slots=True)
class TrainingCurves:
    """All curves on common axes; x is epochs, y is the loss from the bottom up."""

    curves: tuple[Curve, ...]
    epochs: Axis
    losses: Axis


def training_curves(runs: tuple[TrainingRun, ...]) -> TrainingCurves | None:
    """Lay out the curves; None when no tune has logged a finite loss."""
    logs = [(run, *_finite(run)) for run in runs]
    logs = [item for item in logs if item[1].size]
    if not logs:
        return None
    epochs = linear_axis(0.0, max(float(epoch.max()) for _, epoch, _ in logs))
    losses = linear_axis(0.0, max(float(loss.max()) for _, _, loss in logs), ticks=4)
    return TrainingCurves(tuple(_curve(*item, epochs, losses) for item in logs), epochs, losses)


def _finite(run: TrainingRun) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    epoch, loss = (run.log[name].to_numpy() for name in ("epoch", "loss"))
    keep = np.isfinite(epoch) & np.isfinite(loss)
    return epoch[keep], loss[keep]


def _curve(
    run: TrainingRun, epoch: NDArray[np.float64], loss: NDArray[np.float64], epochs: Axis, losses: Axis
) -> Curve:
    stride = -(-len(epoch) // POINTS)
    kept = sorted({*range(0, len(epoch), stride), len(epoch) - 1})
    places = [(epochs.place(float(epoch[i])), 100 - losses.place(float(loss[i]))) for i in kept]
    return Curve(
        key=run.key,
        name=run.name,
        path=line_path(places),
        updates=int(run.log["step"].to_numpy().max()),
        epochs=float(epoch[-1]),
        first_loss=float(loss[0]),
        last_loss=float(loss[-1]),
    )
