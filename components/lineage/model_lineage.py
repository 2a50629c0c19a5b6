"""A registered model walked back to the pool, as one record."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from components.lineage.lock_file import LockedPath
from components.lineage.trace_samples import AuthorGroup, TaskGroup, TracedSample, group_by_author, group_by_task


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A version of the registered model.

    Attributes:
        name: of the registered model.
        version: its number.
        aliases: such as `champion`.
        registered_at: date and time, UTC.
        decision: what the gate, or a person, said of it last; empty while nothing has.
        decided_at: when, UTC.
        decided_by: who ran the gate or forced it.
    """

    name: str
    version: str
    aliases: tuple[str, ...]
    registered_at: str
    decision: str
    decided_at: str
    decided_by: str


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The curation run that made it.

    Attributes:
        run_id: in MLflow.
        name: for people.
        workspace: folder, relative to the project root.
        started_at: date and time, UTC.
        strategy: how the images were chosen.
        commit: of the code, hex; empty when it was in none.
        has_changed_code: the code differed from that commit.
        lock_sha256: of its dvc.lock.
        flow_run_url: its page in Prefect; empty without one.
        cost_usd: dollars that it spent itself; what an earlier run had bought is not in it.
        goes_on_from: the run whose choice a recuration kept and added to; empty for a curation from scratch.
    """

    run_id: str
    name: str
    workspace: str
    started_at: str
    strategy: str
    commit: str
    has_changed_code: bool
    lock_sha256: str
    flow_run_url: str
    cost_usd: float
    goes_on_from: str = ""


@dataclass(frozen=True, slots=True)
class ModelLineage:
    """Where a model comes from.

    Attributes:
        model: the version.
        run: that made it.
        adapter: the artifact `model`.
        training_set: the artifact it was tuned on.
        selection: the artifact that says what was chosen.
        pool: the artifact `manifest`.
        pool_samples: samples of the pool.
        samples: every sample of the training set.
        parameters: params.yaml of the run.
    """

    model: ModelFacts
    run: RunFacts
    adapter: LockedPath
    training_set: LockedPath
    selection: LockedPath
    pool: LockedPath
    pool_samples: int
    samples: tuple[TracedSample, ...]
    parameters: str

    @property
    def authors(self) -> tuple[AuthorGroup, ...]:
        """The samples by origin and author."""
        return group_by_author(self.samples)

    @property
    def tasks(self) -> tuple[TaskGroup, ...]:
        """The samples by task."""
        return group_by_task(self.samples)


def lineage_json(lineage: ModelLineage, *, samples: Sequence[TracedSample] = ()) -> str:
    """As JSON; NaN, which JSON does not have, becomes null.

    Args:
        lineage: all of it.
        samples: those to list; the summary holds all of them in any case.
    """
    content = asdict(lineage) | {
        "samples": [asdict(sample) for sample in samples],
        "authors": [asdict(group) for group in lineage.authors],
        "tasks": [asdict(group) for group in lineage.tasks],
        "training_samples": len(lineage.samples),
    }
    return json.dumps(_without_nan(content), indent=1, ensure_ascii=False)


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
