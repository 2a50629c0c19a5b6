"""Training curves: the loss over the passes of each tune."""

from dataclasses import dataclass

import numpy as np

from components.report.geometry import Axis, line_path, linear_axis
from components.report.inputs import TrainingRun
from components.report.number_text import count, decimal

NAMES = {
    "reference": "reference model",
    "warm_up": "warm-up model",
    "tuned": "tuned model",
    "random": "random control",
    "full": "full-pool control",
    "base": "base model",
}
POINTS = 400  # of a curve at most


@dataclass(frozen=True, slots=True)
class Curve:
    """One tune: its line from 0 to 100 in both directions, and its numbers."""

    key: str
    name: str
    path: str
    updates: str
    epochs: str
    first_loss: str
    last_loss: str


@dataclass(frozen=True, slots=True)
class TrainingView:
    """All curves on common axes; x is epochs, y is the loss from the bottom up."""

    curves: tuple[Curve, ...]
    epochs: Axis
    losses: Axis


def model_name(key: str) -> str:
    """A model as the page calls it."""
    return NAMES.get(key, key)


def training_view(runs: tuple[TrainingRun, ...]) -> TrainingView | None:
    """Lay out the curves; None when no tune has logged a finite loss."""
    logs = [(run, *_finite(run)) for run in runs]
    logs = [item for item in logs if item[1].size]
    if not logs:
        return None
    epochs = linear_axis(0.0, max(float(epoch.max()) for _, epoch, _ in logs))
    losses = linear_axis(0.0, max(float(loss.max()) for _, _, loss in logs), ticks=4)
    return TrainingView(tuple(_curve(*item, epochs, losses) for item in logs), epochs, losses)


def _finite(run: TrainingRun) -> tuple[np.ndarray, np.ndarray]:
    epoch, loss = (run.log[name].to_numpy() for name in ("epoch", "loss"))
    keep = np.isfinite(epoch) & np.isfinite(loss)
    return epoch[keep], loss[keep]


def _curve(run: TrainingRun, epoch: np.ndarray, loss: np.ndarray, epochs: Axis, losses: Axis) -> Curve:
    stride = -(-len(epoch) // POINTS)
    kept = sorted({*range(0, len(epoch), stride), len(epoch) - 1})
    places = [(epochs.place(float(epoch[i])), 100 - losses.place(float(loss[i]))) for i in kept]
    return Curve(
        key=run.name,
        name=model_name(run.name),
        path=line_path(places),
        updates=count(int(run.log["step"].to_numpy().max())),
        epochs=decimal(float(epoch[-1]), digits=1),
        first_loss=decimal(float(loss[0])),
        last_loss=decimal(float(loss[-1])),
    )
