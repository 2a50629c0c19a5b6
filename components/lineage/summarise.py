"""Many traced samples as the few groups that a person reads."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from components.lineage.trace_samples import TracedSample


@dataclass(frozen=True, slots=True)
class AuthorGroup:
    """Samples that came into the training set the same way, written by the same author.

    Attributes:
        origin: reference | selection | random | full.
        provider: who was asked.
        model: who answered.
        template: name of the prompt template; empty for annotations.
        samples: how many.
        price_usd: dollars.
        first_at: when the first of them was asked for, ISO 8601; empty where the ledger does not know.
        last_at: when the last outcome came.
    """

    origin: str
    provider: str
    model: str
    template: str
    samples: int
    price_usd: float
    first_at: str
    last_at: str


@dataclass(frozen=True, slots=True)
class TaskGroup:
    """Samples of one task.

    Attributes:
        task: name.
        by_origin: (origin, samples), by origin.
        clusters: distinct clusters that they come from; 0 where the strategy has none.
    """

    task: str
    by_origin: tuple[tuple[str, int], ...]
    clusters: int


def group_by_author(samples: Sequence[TracedSample]) -> tuple[AuthorGroup, ...]:
    """Group samples by origin, provider, model and template, sorted by these."""
    groups: dict[tuple[str, str, str, str], list[TracedSample]] = defaultdict(list)
    for sample in samples:
        author = sample.author
        groups[sample.choice.origin, author.provider, author.model, author.template].append(sample)
    return tuple(
        AuthorGroup(
            *key,
            samples=len(members),
            price_usd=sum(member.author.price_usd for member in members),
            first_at=min((member.author.asked_at for member in members if member.author.asked_at), default=""),
            last_at=max((member.author.answered_at for member in members), default=""),
        )
        for key, members in sorted(groups.items())
    )


def group_by_task(samples: Sequence[TracedSample]) -> tuple[TaskGroup, ...]:
    """Group samples by task, sorted by name."""
    groups: dict[str, list[TracedSample]] = defaultdict(list)
    for sample in samples:
        groups[sample.task].append(sample)
    return tuple(TaskGroup(task, _by_origin(members), _clusters(members)) for task, members in sorted(groups.items()))


def _by_origin(members: Sequence[TracedSample]) -> tuple[tuple[str, int], ...]:
    origins = [member.choice.origin for member in members]
    return tuple((origin, origins.count(origin)) for origin in sorted(set(origins)))


def _clusters(members: Sequence[TracedSample]) -> int:
    return len({member.choice.cluster for member in members} - {-1})
