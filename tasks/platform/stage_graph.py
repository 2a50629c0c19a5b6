"""How the stages of a strategy hang together, from what they read and write."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from components.strategies.strategy import Strategy
from tasks.platform.declaration import StageDeclaration

_EARLIER = "earlier/"


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
