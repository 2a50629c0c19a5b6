"""What a stage says of itself, beside its body. Everything else that depends on the stage is derived from it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import pyarrow as pa

from components.parameters.parameters import Parameters
from components.strategies.strategy import Strategy
from tasks.platform.stage_tables import StageTable
from tasks.platform.workspace import Workspace

# What a stage can need a share of: the tag of its task. Prefect waits for a slot of the global concurrency limit
# `tag:gpu` or `tag:api` where one is defined, and for nothing where none is.
Resource = Literal["gpu", "api"]
Uses = Resource | Callable[[Parameters], Resource | None] | None
# Names, or how the strategy says which.
Names = tuple[str, ...] | Callable[[Strategy], tuple[str, ...]]
_EARLIER = "earlier/"


@dataclass(frozen=True, slots=True)
class StageDeclaration:
    """What is known of a stage without running it.

    Attributes:
        name: in dvc.yaml, without `@item`.
        module: that holds its body. The code it depends on is what this imports, directly or not.
        description: one line.
        reads: paths under `data/`, such as `manifest/samples.parquet` or `inputs/vlm.json`; `${item}` stands for the
            baseline.
        writes: the directory of its artifact under `data/`.
        parameters: dotted names in params.yaml that decide its output; those of a section together by its name.
        persist: the artifact grows: what is there is kept until the stage has run.
        each_baseline: it runs once for each of `baselines`.
        uses: what it needs a share of, or how the parameters say so.
        retries: times that a failure which may pass is tried again.
        memory: parameters to lower when memory runs out, most effective first.
        disk: bytes that it will add at least, given the samples of the pool, the parameters and its directory; None:
            little, or not known before.
        disk_while_it_runs: bytes that it takes at least until it ends, given the samples and the parameters.
        buys: the samples whose instruction it buys, given where it runs and its item; None: it buys nothing.
        buys_when_told: it buys only for a person who said that it may.
        restored: not made again by `presel reproduce`, because it reads what lies outside or writes files whose names
            are random.
        nothing: writes, into a directory, what a curation from scratch goes on from in the place of its artifact.
        tables: what a person wants to see of its artifact, given the directory.
        has_page: it gets a page in the Prefect UI.
    """

    name: str
    module: str
    description: str
    reads: Names
    writes: str
    parameters: Names = ()
    persist: bool = False
    each_baseline: bool = False
    uses: Uses = None
    retries: int = 0
    memory: tuple[str, ...] = ()
    disk: Callable[[pa.Table, Parameters, Path], int] | None = None
    disk_while_it_runs: Callable[[pa.Table, Parameters], int] | None = None
    buys: Callable[[Workspace, str], list[str]] | None = None
    buys_when_told: bool = False
    restored: bool = False
    nothing: Callable[[Path], None] | None = None
    tables: Callable[[Path], list[StageTable]] | None = None
    has_page: bool = True

    def instance(self, item: str) -> str:
        """Its name in dvc.yaml, with the item where there are several."""
        return f"{self.name}@{item}" if self.each_baseline else self.name

    def reads_of(self, strategy: Strategy) -> tuple[str, ...]:
        """What it reads in a run of a strategy."""
        return self.reads(strategy) if callable(self.reads) else self.reads

    def parameters_of(self, strategy: Strategy) -> tuple[str, ...]:
        """The parameters that decide its output in a run of a strategy."""
        return self.parameters(strategy) if callable(self.parameters) else self.parameters


def makers(paths: Sequence[str], stages: Sequence[StageDeclaration]) -> tuple[StageDeclaration, ...]:
    """The stages whose artifacts are at these paths under `data/`, hold them or lie in them."""
    return tuple(stage for stage in stages if any(_overlap(path, stage.writes) for path in paths))


def stages_behind(path: str, stages: Sequence[StageDeclaration], strategy: Strategy) -> tuple[StageDeclaration, ...]:
    """The stages that what lies at a path rests on, the one that writes it the last."""
    found = set(makers((path,), stages))
    while True:
        more = found.union(*(makers(stage.reads_of(strategy), stages) for stage in found))
        if more == found:
            return tuple(stage for stage in stages if stage in found)
        found = more


def earlier_reads(stages: Sequence[StageDeclaration], strategy: Strategy) -> tuple[str, ...]:
    """What the stages go on from in a recuration: paths below `data/earlier`, sorted."""
    paths = {path for stage in stages for path in stage.reads_of(strategy)}
    return tuple(sorted(path.removeprefix(_EARLIER) for path in paths if path.startswith(_EARLIER)))


def goes_on(stage: StageDeclaration, strategy: Strategy) -> bool:
    """Whether a stage looks at what an earlier curation left."""
    return any(path.startswith(_EARLIER) for path in stage.reads_of(strategy))


def _overlap(path: str, other: str) -> bool:
    return PurePosixPath(path).is_relative_to(other) or PurePosixPath(other).is_relative_to(path)
