"""A recuration against a run from scratch as the demo pool grows (`python -m bench.recuration`).

Every growth gets a clone of the project of its own, so nothing is found in a cache that a week of work would not have
left there: first a curation of the smaller pool, then the recuration of the whole one.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient

from bench.results import FAISS, Row, out_option, publish
from components.benchmark.relative import average_score
from components.instructions.ledger.ledger import open_ledger
from components.instructions.ledger.totals import ledger_totals
from components.schemas import METRICS, TRAINING_SAMPLES
from components.storage import read_table, write_json
from demo.write_pool import write_demo_pool

ROOT = Path(__file__).parents[1]
# What stages count, as (column, stage, metric).
COUNTS = (
    ("images read", "ingest", "images_read"),
    ("images embedded", "embed", "embedded"),
    ("samples scored", "score", "scored"),
    ("reference updates", "reference_tune", "updates"),
)


@dataclass(frozen=True, slots=True)
class Curation:
    """What one run of the command did.

    Attributes:
        counts: work by column.
        bought: instructions that the ledger did not hold before.
        seconds: wall time.
        processor_seconds: of the command and what it started.
        chosen: sample ids of the training set.
        score: benchmark average of the tuned model, 0 to 100.
    """

    counts: dict[str, int]
    bought: int
    seconds: float
    processor_seconds: float
    chosen: frozenset[str]
    score: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Curate a part of the pool, recurate the whole of it, and hold that against a run from scratch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--growth", nargs="+", type=float, default=[0, 1, 10, 50], help="percent")
    parser.add_argument("--epochs", type=int, default=8, help="of both tunes")
    out_option(parser)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="presel-bench-") as folder:
        whole = _project(Path(folder) / "whole", epochs=options.epochs)
        records = json.loads((whole / "data/demo/pool.json").read_text(encoding="utf-8"))
        scratch = _curate(whole, "run")
        rows = [_row("from scratch", len(records), scratch, scratch)]
        for growth in options.growth:
            place = _project(Path(folder) / f"grown-{growth:g}", epochs=options.epochs)
            pool = place / "data/demo/pool.json"
            # Every so many-th record is new, so that all tasks grow alike.
            known = round(len(records) / (1 + growth / 100))
            write_json(pool, [record for at, record in enumerate(records) if at * known % len(records) < known])
            _curate(place, "run")
            write_json(pool, records)
            rows.append(_row(f"{growth:g} %", len(records) - known, _curate(place, "recurate"), scratch))
            shutil.rmtree(place)
    publish(rows, packages=("torch", *FAISS, "lancedb", "prefect", "dvc"), out=options.out)


def _project(place: Path, *, epochs: int) -> Path:
    """A clone with the files as they are here, and the demo pool."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name)
    subprocess.run(["git", "init", "-q"], cwd=place, check=True)
    write_demo_pool(place / "data/demo", seed=17)
    parameters = (place / "params.yaml").read_text(encoding="utf-8")
    parameters = parameters.replace("baselines: [random]", "baselines: []").replace("epochs: 8", f"epochs: {epochs}")
    (place / "params.yaml").write_text(parameters, encoding="utf-8")
    return place


def _curate(place: Path, command: str) -> Curation:
    runs, bought = _runs(place), _bought(place)
    used, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    _call(place, ["-m", "flows.command_line.main", command])
    seconds, now = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    training_set = read_table(place / "data/training_set/samples.parquet", TRAINING_SAMPLES)
    new = [metrics for run, metrics in _runs(place).items() if run not in runs]
    return Curation(
        counts={
            column: round(sum(stages.get(stage, {}).get(metric, 0.0) for stages in new))
            for column, stage, metric in COUNTS
        },
        bought=_bought(place) - bought,
        seconds=seconds,
        processor_seconds=now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime,
        chosen=frozenset(training_set["sample_id"].to_pylist()),
        score=100 * average_score(read_table(place / "data/benchmark/tuned/metrics.parquet", METRICS)),
    )


def _runs(place: Path) -> dict[str, dict[str, dict[str, float]]]:
    """The metrics of every stage that ran, by curation run; a stage that was found in the cache has none."""
    if not (place / ".presel/mlflow.db").exists():
        return {}
    client = MlflowClient(f"sqlite:///{place}/.presel/mlflow.db")
    found: dict[str, dict[str, dict[str, float]]] = {}
    for run in client.search_runs([experiment.experiment_id for experiment in client.search_experiments()]):
        parent = run.data.tags.get("mlflow.parentRunId")
        if parent is not None:
            found.setdefault(parent, {})[run.data.tags["presel.stage"]] = run.data.metrics
    return found


def _bought(place: Path) -> int:
    file = place / ".presel/ledger.sqlite"
    if not file.exists():
        return 0
    with open_ledger(f"sqlite:///{file}") as ledger:
        return ledger_totals(ledger).answered


def _call(place: Path, arguments: Sequence[str]) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_", "DVC_"))}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=place,
        env={**kept, "PYTHONPATH": str(place)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )


def _row(name: str, new: int, curation: Curation, scratch: Curation) -> Row:
    shared = len(curation.chosen & scratch.chosen) / len(scratch.chosen)
    return {
        "growth": name,
        "new images": new,
        **curation.counts,
        "instructions bought": curation.bought,
        "seconds": round(curation.seconds, 1),
        "processor seconds": round(curation.processor_seconds, 1),
        "overlap": round(shared, 3),
        "benchmark": round(curation.score, 1),
    }


if __name__ == "__main__":
    main()
