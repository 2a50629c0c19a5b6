"""Everything the report is made of. The tables have the columns of `components.schemas`."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.lineage.trace_samples import AuthorGroup, TracedSample
from components.parameters.instructions import Price
from components.report.strategy_report import Evidence, StrategyReport


@dataclass(frozen=True, slots=True)
class InstructionTable:
    """The instructions that one purpose asked for.

    Attributes:
        origin: reference | pool | selection | random | full.
        table: INSTRUCTIONS.
        attempts: ATTEMPT_ROWS, what was sent for them.
    """

    origin: str
    table: pa.Table
    attempts: pa.Table


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """How one tune went.

    Attributes:
        key: own | tuned | random | full, `own` being a model that the strategy tunes in order to choose.
        name: as the page calls it.
        log: TRAINING_LOG.
    """

    key: str
    name: str
    log: pa.Table


@dataclass(frozen=True, slots=True)
class BenchmarkRun:
    """What one model answered on the benchmark sets.

    Attributes:
        name: base | tuned | random | full.
        metrics: METRICS.
        predictions: PREDICTIONS.
    """

    name: str
    metrics: pa.Table
    predictions: pa.Table


@dataclass(frozen=True, slots=True)
class MapCoordinates:
    """The image vectors laid out in the plane.

    Attributes:
        sample_ids: the sample of every row, n of them.
        points: `(n, 2)`, any unit; only distances between points mean something.
    """

    sample_ids: tuple[str, ...]
    points: NDArray[np.floating]

    def __post_init__(self) -> None:
        if self.points.shape != (len(self.sample_ids), 2):
            raise ValueError(
                f"points has shape {self.points.shape}; {len(self.sample_ids)} sample ids need "
                f"({len(self.sample_ids)}, 2)"
            )


@dataclass(frozen=True, slots=True)
class DropCount:
    """Samples that one stage left out for one reason."""

    stage: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Version:
    """A version of something that the run used: Python, a library, a model."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Purchase:
    """What was bought for all purposes together, each request once.

    Attributes:
        by_task: INSTRUCTION_COSTS.
        price: of the model that writes; None for a provider that is not paid by the token.
        in_batches: bought at the price of batches.
    """

    by_task: pa.Table
    price: Price | None
    in_batches: bool


@dataclass(frozen=True, slots=True)
class Costs:
    """What the instructions cost, in dollars.

    Attributes:
        instructions: instructions that choosing and tuning took.
        spent_usd: what these cost, failures included.
        all_instructions: instructions that annotating the whole pool would have taken.
        all_usd: what those would have cost.
        price_per_instruction_usd: the price that estimate uses.
        instructions_to_date: instructions in the ledger, of this and earlier runs and of the controls.
        to_date_usd: what these cost.
        purchase: estimated and paid; None when nothing was bought.
        to_date_uncertain_usd: what more the ledger's sends took at most, where nobody knows their outcome.
        controls_usd: what instructions for controls alone cost.
    """

    instructions: int
    spent_usd: float
    all_instructions: int
    all_usd: float
    price_per_instruction_usd: float
    instructions_to_date: int
    to_date_usd: float
    purchase: Purchase | None = None
    to_date_uncertain_usd: float = 0.0
    controls_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where the run's records are. An empty string means that there is none.

    Attributes:
        created_at: date and time of the report, as text with its time zone.
        git_commit: commit of the code, hex.
        git_dirty: the working tree differed from that commit.
        dvc_lock_digest: digest of `dvc.lock`.
        flow_run_id: Prefect flow run.
        flow_run_name: its name.
        flow_run_url: its page.
        mlflow_run_url: page of the MLflow parent run.
        versions: software and models.
        parameters: the parameters in force, as YAML text.
        artifacts: version of the pool, the selection, the training set and the adapter.
        authors: who wrote the training set's instructions, when, for how much.
        samples: some samples of the training set, with why they were chosen and who wrote their instructions.
        all_samples: how many samples the training set has.
    """

    created_at: str
    git_commit: str = ""
    git_dirty: bool = False
    dvc_lock_digest: str = ""
    flow_run_id: str = ""
    flow_run_name: str = ""
    flow_run_url: str = ""
    mlflow_run_url: str = ""
    versions: tuple[Version, ...] = ()
    parameters: str = ""
    artifacts: tuple[Version, ...] = ()
    authors: tuple[AuthorGroup, ...] = ()
    samples: tuple[TracedSample, ...] = ()
    all_samples: int = 0


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """One curation run.

    A table without rows, an empty tuple or None says that the run has no such part; the page then says so
    or leaves the section out.

    Attributes:
        samples: SAMPLES.
        quarantine: QUARANTINE.
        reference: CHOSEN.
        selection: SELECTION.
        instructions: one table per origin.
        training_runs: one log per tune.
        benchmarks: one per model.
        costs: money.
        lineage: records.
        strategy: how the images were chosen, in words.
        evidence: what the choice rests on.
        drops: what every stage left out.
        records: what became of the records of the sources, in sentences.
        map_coordinates: the vectors in the plane.
        budget: the budget as the parameters give it, such as "15%".
    """

    samples: pa.Table
    quarantine: pa.Table
    reference: pa.Table
    selection: pa.Table
    instructions: tuple[InstructionTable, ...]
    training_runs: tuple[TrainingRun, ...]
    benchmarks: tuple[BenchmarkRun, ...]
    costs: Costs
    lineage: Lineage
    strategy: StrategyReport
    evidence: Evidence
    drops: tuple[DropCount, ...] = ()
    records: tuple[str, ...] = ()
    map_coordinates: MapCoordinates | None = None
    budget: str = ""
