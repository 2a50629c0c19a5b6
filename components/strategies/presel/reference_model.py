"""Whether the reference model of an earlier curation still stands for the reference set."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from components.parameters.parameters import WHO_TUNES, EpochParameters, TuningParameters, VlmParameters
from components.pool.samples import InstructedImage
from components.schemas import TUNED_ON
from components.storage import read_table, write_json, write_table, write_text

# How a tune is run, not what comes out of it.
_RUNNING = {"device", "checkpoint_every", "log_every", "gradient_checkpointing", *WHO_TUNES}


@dataclass(frozen=True, slots=True)
class TunedModel:
    """What a reference model is made of.

    Attributes:
        members: TUNED_ON, sorted by sample_id.
        settings: canonical text of the base model and of all parameters that decide the adapter; empty: no model.
    """

    members: pa.Table
    settings: str


@dataclass(frozen=True, slots=True)
class RetuneDecision:
    """Whether the reference model is tuned again.

    Attributes:
        retune: otherwise the earlier one is kept.
        reason: why, for a person.
        members: of the reference set now, with an instruction.
        changed: members that joined, left or have another instruction since the model was tuned.
    """

    retune: bool
    reason: str
    members: int
    changed: int


def tuned_model(
    samples: Sequence[InstructedImage],
    *,
    base: str,
    vlm: VlmParameters,
    tuning: TuningParameters,
    duration: EpochParameters,
    seed: int,
) -> TunedModel:
    """Describe the reference model that would be tuned now.

    Args:
        samples: the reference set with its instructions.
        base: snapshot of the base model (`components.pool.snapshot.snapshot_model`).
        vlm: the base model's parameters.
        tuning: the trainer's.
        duration: passes over the samples.
        seed: of the tune.
    """
    sections = {"vlm": vlm, "tuning": tuning, "reference_tune": duration}
    decisive = {name: section.model_dump(mode="json", exclude=_RUNNING) for name, section in sections.items()}
    settings = json.dumps({"base": base, "seed": seed, **decisive}, sort_keys=True)
    rows = [
        {"sample_id": sample.sample_id, "task": sample.task, "instruction": _instruction_digest(sample)}
        for sample in sorted(samples, key=lambda sample: sample.sample_id)
    ]
    return TunedModel(pa.Table.from_pylist(rows, schema=TUNED_ON), settings)


def decide_retune(earlier: TunedModel, now: TunedModel, *, share: float) -> RetuneDecision:
    """Decide whether the reference model is tuned again.

    It is when there is none, when the base model or a parameter of the tune changed, when a task is new, or when more
    than `share` of the members it was tuned on joined, left or have another instruction. What it was tuned on counts,
    not the reference set of the last curation: small changes add up.

    Args:
        earlier: what the earlier model was tuned on.
        now: what it would be tuned on now.
        share: of the members it was tuned on, 0 or above.

    Returns:
        The decision.
    """
    before, after = (set(zip(*table.to_pydict().values(), strict=True)) for table in (earlier.members, now.members))
    changed = len({row[0] for row in before ^ after})
    new_tasks = sorted({row[1] for row in after} - {row[1] for row in before})
    retune, reason = True, f"{changed:,} members changed, more than {share:.0%} of the {len(before):,} it was tuned on"
    if not earlier.settings:
        reason = "there was no reference model"
    elif earlier.settings != now.settings:
        reason = "the base model or the parameters of its tune changed"
    elif new_tasks:
        reason = f"new task(s): {', '.join(new_tasks)}"
    elif changed <= share * len(before):
        retune, reason = (
            False,
            f"{changed:,} members changed, at most {share:.0%} of the {len(before):,} it was tuned on",
        )
    return RetuneDecision(retune, reason, len(after), changed)


def write_tuned_model(directory: Path, model: TunedModel, decision: RetuneDecision) -> None:
    """Write what the adapter beside it was tuned on and how, and the decision that led to it."""
    write_table(directory / "tuned_on.parquet", model.members)
    write_text(directory / "tuned_with.json", model.settings)
    write_json(directory / "decision.json", asdict(decision))


def read_tuned_model(directory: Path) -> TunedModel:
    """Read what a reference model was tuned on and how."""
    settings = (directory / "tuned_with.json").read_text(encoding="utf-8")
    return TunedModel(read_table(directory / "tuned_on.parquet", TUNED_ON), settings)


def read_decision(directory: Path) -> RetuneDecision:
    """Read the decision that led to a reference model."""
    return RetuneDecision(**json.loads((directory / "decision.json").read_text(encoding="utf-8")))


def _instruction_digest(sample: InstructedImage) -> str:
    turns = json.dumps([(turn.question, turn.response) for turn in sample.turns])
    return hashlib.sha256(turns.encode()).hexdigest()[:32]


def scores_that_hold(scores: pa.Table, scored: pa.Table, instructions: pa.Table) -> pa.Table:
    """Keep the scores of samples whose instruction is the same as when they were scored.

    Args:
        scores: SCORES of the earlier curation, made with the reference model that is in use now.
        scored: INSTRUCTIONS that they were made with.
        instructions: INSTRUCTIONS of the reference set now.

    Returns:
        SCORES, rows in their order.
    """
    before = dict(zip(scored["sample_id"].to_pylist(), scored["turns"].to_pylist(), strict=True))
    now = dict(zip(instructions["sample_id"].to_pylist(), instructions["turns"].to_pylist(), strict=True))
    same = [sample_id for sample_id, turns in now.items() if before.get(sample_id) == turns]
    return scores.filter(pc.is_in(scores["sample_id"], value_set=pa.array(same, pa.string())))


def join_scores(kept: pa.Table, added: pa.Table) -> pa.Table:
    """Scores of both, sorted by sample_id."""
    return pa.concat_tables([kept, added]).sort_by("sample_id").combine_chunks()
