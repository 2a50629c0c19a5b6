"""Every sample of a training set: why it was chosen, and who wrote its instruction."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from components.lineage.ledger_history import RequestHistory


@dataclass(frozen=True, slots=True)
class Choice:
    """Why a sample is in the training set.

    Attributes:
        origin: reference | selection | random | full.
        reason: in words, as the selection wrote it.
        cluster: -1 where the strategy has none.
        score: NaN where the strategy has none; what it means is the strategy's (docs/strategies.md).
        rank: 0 where it has none.
        quota: images that were to be picked from its cluster, task or pool; 0 for the reference set.
    """

    origin: str
    reason: str
    cluster: int
    score: float
    rank: int
    quota: int


@dataclass(frozen=True, slots=True)
class Authorship:
    """Who wrote an instruction. What only the ledger knows is empty when the ledger does not have the request.

    Attributes:
        request_id: in the ledger; empty: no artifact says who wrote it.
        provider: who was asked.
        model: who answered; of annotations, the file.
        template: `sha256:` and 12 digits of the prompt template; empty for annotations.
        asked_at: ISO 8601, UTC.
        answered_at: ISO 8601, UTC.
        attempts: how often it was sent.
        price_usd: dollars, all attempts.
        run: label of the run that paid.
    """

    request_id: str
    provider: str
    model: str
    template: str
    asked_at: str
    answered_at: str
    attempts: int
    price_usd: float
    run: str


@dataclass(frozen=True, slots=True)
class TracedSample:
    """A sample of the training set, walked back."""

    sample_id: str
    task: str
    uri: str
    image_sha: str
    copies: int
    choice: Choice
    author: Authorship


def trace_samples(
    training_set: pa.Table,
    selection: pa.Table,
    instructions: Mapping[str, pa.Table],
    histories: Mapping[str, RequestHistory],
) -> tuple[TracedSample, ...]:
    """Join what the stages and the ledger know of every sample.

    Args:
        training_set: columns of `components.schemas.TRAINING_SAMPLES`.
        selection: columns of `components.schemas.SELECTION`.
        instructions: columns of `components.schemas.INSTRUCTIONS`, by origin.
        histories: of the ledger, by request id.

    Returns:
        One per row of the training set, in its order.
    """
    chosen = {row["sample_id"]: row for row in selection.to_pylist()}
    written = {
        (origin, row["sample_id"]): row
        for origin, table in instructions.items()
        for row in table.drop_columns(["turns"]).to_pylist()
    }
    return tuple(
        TracedSample(
            sample_id=row["sample_id"],
            task=row["task"],
            uri=row["uri"],
            image_sha=row["image_sha"],
            copies=row["copies"],
            choice=_choice(row["origin"], chosen.get(row["sample_id"])),
            author=_author(written.get((row["origin"], row["sample_id"])), histories),
        )
        for row in training_set.drop_columns(["turns"]).to_pylist()
    )


def template_name(prompt_template: str) -> str:
    """A short name of a prompt template's text, the same wherever the text is; empty for none."""
    return f"sha256:{hashlib.sha256(prompt_template.encode()).hexdigest()[:12]}" if prompt_template else ""


def _choice(origin: str, row: dict[str, Any] | None) -> Choice:
    if row is None:
        return Choice(origin, "in the reference set" if origin == "reference" else origin, -1, float("nan"), 0, 0)
    is_reference = bool(row["is_reference"])
    return Choice(origin, row["reason"], row["cluster"], row["score"], row["rank"], 0 if is_reference else row["quota"])


def _author(row: dict[str, Any] | None, histories: Mapping[str, RequestHistory]) -> Authorship:
    if row is None:
        return Authorship("", "", "", "", "", "", 0, 0.0, "")
    history = histories.get(row["request_id"])
    return Authorship(
        request_id=row["request_id"],
        provider=row["provider"],
        model=row["model"],
        template=template_name(history.prompt_template) if history else "",
        asked_at=history.asked_at if history else "",
        answered_at=history.answered_at if history else "",
        attempts=row["attempts"],
        price_usd=row["price_usd"],
        run=history.run if history else "",
    )


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
