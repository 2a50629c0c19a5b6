"""What a curation run ends with: where to look, and the numbers that matter."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components.benchmark.relative import average_score
from components.instructions.spending.costs import ControlCosts, control_costs, paid_costs
from components.pool.account import account_sentence
from components.pool.manifest import read_quarantine, read_records, read_samples
from components.pool.reasons import count_reasons
from components.schemas import ATTEMPT_ROWS, DROPPED, INSTRUCTIONS, METRICS, SELECTION
from components.storage import read_table
from components.strategies.load import load_strategy
from tasks.platform.publish import RegisteredVersion
from tasks.platform.stage_context import CurationRun


@dataclass(frozen=True, slots=True)
class ModelScore:
    """The benchmark average of one model: 0 to 1, higher is better."""

    name: str
    average: float


@dataclass(frozen=True, slots=True)
class CurationOutcome:
    """The end of a run.

    Attributes:
        report: path of the page.
        mlflow_run_id: the parent run.
        model: the version of the registered model; None when the run registers none.
        strategy: how the images were chosen.
        pool: samples in the pool.
        records: what became of the records of the sources, in a sentence.
        dropped: what became of samples without a usable instruction, in a sentence; "" when there are none.
        picked: samples picked, the reference set left out.
        reference: samples of the reference set; 0 for a strategy without one.
        instructions: instructions that choosing and tuning took.
        cost_usd: what they cost, failures included.
        full_cost_usd: what instructions for the whole pool would have cost at the same price.
        controls: what the controls took beside that.
        scores: base, tuned, and the controls.
        selection_seconds: that choosing took, whenever its parts were computed.
        tuning_seconds: that the tune took.
    """

    report: str
    mlflow_run_id: str
    model: RegisteredVersion | None
    strategy: str
    pool: int
    records: str
    dropped: str
    picked: int
    reference: int
    instructions: int
    cost_usd: float
    full_cost_usd: float
    controls: ControlCosts
    scores: tuple[ModelScore, ...]
    selection_seconds: float
    tuning_seconds: float


def describe_outcome(
    run: CurationRun, version: RegisteredVersion | None, *, selection_seconds: float, tuning_seconds: float
) -> CurationOutcome:
    """Gather the outcome from the artifacts."""
    place, parameters = run.workspace, run.workspace.parameters()
    manifest = place.artifact("manifest")
    pool = read_samples(manifest).num_rows
    selection = read_table(place.artifact("selection") / "selection.parquet", SELECTION)
    needed = [place.artifact(f"instructions/{origin}") for origin in load_strategy(parameters.strategy).needed_origins]
    bought = pa.concat_tables([read_table(folder / "instructions.parquet", INSTRUCTIONS) for folder in needed])
    sends = _attempts(needed)
    costs = paid_costs(
        sends,
        bought,
        pool=pool,
        parameters=parameters.instructions,
        purchase=parameters.purchase,
    )
    of_controls = [place.artifact(f"instructions/{name}") for name in parameters.baselines]
    models = ("base", "tuned", *parameters.baselines)
    metrics = [read_table(place.artifact(f"benchmark/{name}") / "metrics.parquet", METRICS) for name in models]
    assert run.mlflow_run_id is not None
    return CurationOutcome(
        report=str(place.artifact("report") / "report.html"),
        mlflow_run_id=run.mlflow_run_id,
        model=version,
        strategy=parameters.strategy,
        pool=pool,
        records=account_sentence(read_records(manifest), read_quarantine(manifest)),
        dropped=_dropped(needed),
        picked=pc.sum(selection["picked"]).as_py(),
        reference=pc.sum(selection["is_reference"]).as_py(),
        instructions=bought.num_rows,
        cost_usd=costs.spent_usd,
        full_cost_usd=costs.whole_pool_usd,
        controls=control_costs(_attempts(of_controls), sends),
        scores=tuple(ModelScore(name, average_score(table)) for name, table in zip(models, metrics, strict=True)),
        selection_seconds=selection_seconds,
        tuning_seconds=tuning_seconds,
    )


def _dropped(folders: Iterable[Path]) -> str:
    dropped = pa.concat_tables([read_table(folder / "dropped.parquet", DROPPED) for folder in folders])
    counts = ", ".join(f"{item.count:,} {item.reason}" for item in count_reasons(dropped))
    return f"{dropped.num_rows:,} chosen samples have no usable instruction ({counts})" if counts else ""


def _attempts(folders: Iterable[Path]) -> pa.Table:
    tables = [read_table(folder / "attempts.parquet", ATTEMPT_ROWS) for folder in folders]
    return pa.concat_tables([ATTEMPT_ROWS.empty_table(), *tables])
