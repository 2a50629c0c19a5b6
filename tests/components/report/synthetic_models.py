"""How made-up models trained and what they answered."""

import numpy as np
import pyarrow as pa

from components import schemas
from components.report.inputs import BenchmarkRun
from tests.components.report.synthetic_tables import make_table


def training_log(steps: int, rng: np.random.Generator) -> pa.Table:
    step = np.arange(5, steps + 1, 5)
    final = 0.9 if steps < 100 else 0.38
    clean = final + (3.1 - final) * np.exp(-4 * step / steps)
    return make_table(
        schemas.TRAINING_LOG,
        step=step,
        epoch=8 * step / steps,
        loss=clean * rng.lognormal(0, 0.06, len(step)),
        learning_rate=2e-3 * (1 - step / steps),
        gradient_norm=rng.lognormal(0, 0.2, len(step)),
    )


def benchmark_runs(
    models: tuple[str, ...], sets: tuple[str, ...], rng: np.random.Generator
) -> tuple[BenchmarkRun, ...]:
    ability = {"base": 0.06, "random": 0.6, "tuned": 0.68, "full": 0.79}
    questions = 120
    words = ("red", "seven", "left of the circle", "XK4", "triangle")
    ease = {(name, index): rng.normal(0, 0.22) for name in sets for index in range(questions)}
    runs = []
    for model in models:
        rows: dict[str, list[object]] = {name: [] for name in schemas.PREDICTIONS.names}
        for (name, index), offset in ease.items():
            right = bool(ability[model] + offset + rng.normal(0, 0.1) > 0.5 + 0.1 * (sets.index(name) % 3 - 1))
            truth = words[index % len(words)]
            values = [
                name,
                f"{name}-{index}",
                0,
                f"data/benchmark/{name}/{index % 9}-{index}.png",
                f"Which is it, in image {index}?",
            ]
            values += [[truth, truth.upper()], truth if right else words[(index + 2) % 5], float(right)]
            for column, value in zip(rows, values, strict=True):
                rows[column].append(value)
        predictions = make_table(schemas.PREDICTIONS, **rows)
        scores = np.array(rows["score"]).reshape(len(sets), questions).mean(axis=1)
        metrics = make_table(
            schemas.METRICS,
            set=list(sets),
            metric=["exact_match"] * len(sets),
            score=scores,
            questions=[questions] * len(sets),
            left_out=[3 if model == "tuned" and name == "color" else 0 for name in sets],
        )
        runs.append(BenchmarkRun(model, metrics, predictions))
    return tuple(runs)
