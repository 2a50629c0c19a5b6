"""What became of a sample, and why."""

from dataclasses import dataclass
from typing import Literal

from components.explain.find_sample import PoolSample, QuarantinedRecord

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
        lines = [("sample", self.name)]
        lines += [("task", self.task)] if self.task else []
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
