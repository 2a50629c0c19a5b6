"""Why a sample was or was not picked, asked of the strategy of its run."""

from dataclasses import dataclass
from importlib import import_module
from typing import Literal

from components.explain.find_sample import PoolSample, QuarantinedRecord, find_sample
from components.schemas import QUARANTINE, SAMPLES
from components.strategies.run_files import RunFiles
from components.text import shortened

Status = Literal["picked", "passed_over", "reference", "not_considered", "quarantined"]


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that the strategy knows of a sample: a short label and the text beside it."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """All there is to say of one sample.

    Attributes:
        name: the sample id, or the record id of a record that is not in the pool.
        task: its task; empty for a quarantined record.
        uri: its image.
        record_ids: the records that name it.
        status: what became of it.
        sentence: why, in one plain sentence.
        facts: what the strategy knows of it, in its own terms.
        near_duplicate_of: image sha of a near duplicate that ingest kept before it; empty without one.
    """

    name: str
    task: str
    uri: str
    record_ids: tuple[str, ...]
    status: Status
    sentence: str
    facts: tuple[Fact, ...] = ()
    near_duplicate_of: str = ""

    def text(self) -> str:
        """Several lines: the sentence, then what is known."""
        lines = [("sample", shortened(self.name, 120))]
        lines += [("task", shortened(self.task))] if self.task else []
        lines += [("image", self.uri)] if self.uri else []
        lines += [("records", ", ".join(self.record_ids))] if self.record_ids else []
        lines += [(fact.label, fact.text) for fact in self.facts]
        if self.near_duplicate_of:
            lines.append(("near copy", f"of image {self.near_duplicate_of[:20]}, which ingest met first"))
        width = max(len(label) for label, _ in lines)
        table = [f"{label:<{width}}  {text}" for label, text in lines]
        return "\n".join([self.sentence, "", *table])


def explanation_of(sample: PoolSample, status: Status, sentence: str, *facts: Fact) -> Explanation:
    """What became of a sample of the pool."""
    return Explanation(
        name=sample.sample_id,
        task=sample.task,
        uri=sample.uri,
        record_ids=sample.record_ids,
        status=status,
        sentence=sentence,
        facts=facts,
        near_duplicate_of=sample.near_duplicate_of,
    )


def quarantine_explained(record: QuarantinedRecord) -> Explanation:
    """Why a record is not in the pool."""
    return Explanation(
        name=record.record_id or record.image,
        task="",
        uri=record.image,
        record_ids=(record.record_id,) if record.record_id else (),
        status="quarantined",
        sentence=f"It is not in the pool: ingest left it out as {record.reason} ({record.detail}).",
    )


def explain_sample(name: str, run: RunFiles) -> Explanation:
    """Explain what became of a sample, by `explain` of `components.strategies.NAME.explain`.

    Args:
        name: a sample id, a record id, an image path or the start of an image's sha256.
        run: that has selected.

    Raises:
        ParameterError: the run has not selected yet.
        UnknownSampleError: nothing, or more than one sample, goes by that name.
    """
    samples = run.table("manifest/samples.parquet", SAMPLES)
    found = find_sample(name, samples, run.table("manifest/quarantine.parquet", QUARANTINE))
    if isinstance(found, QuarantinedRecord):
        return quarantine_explained(found)
    strategy = import_module(f"components.strategies.{run.parameters.strategy}.explain")
    explanation: Explanation = strategy.explain(found, run)
    return explanation
