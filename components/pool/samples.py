"""The records that cross module borders (vocabulary: docs/architecture.md)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """One question about an image and its response; the image placeholder is not part of the question."""

    question: str
    response: str


@dataclass(frozen=True, slots=True)
class InstructedImage:
    """A sample with its instruction: what is trained on, scored and benchmarked.

    Attributes:
        sample_id: `task/` and the first 20 hex digits of the image's sha256 (or a benchmark record's id).
        task: the task.
        uri: where the image is, as `components.pool.images.load_image` takes it.
        image_sha: sha256 of the image's bytes, hex; checked when the image is opened. Empty: not known.
        turns: the conversation, at least one turn.
    """

    sample_id: str
    task: str
    uri: str
    image_sha: str
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Dropped:
    """A sample that a stage left out, and why.

    Attributes:
        sample_id: the sample.
        reason: one of the stage's fixed reasons, for counting.
        detail: what exactly, for a person.
    """

    sample_id: str
    reason: str
    detail: str


def sample_identity(task: str, image_sha: str) -> str:
    """The identity of one image in one task, readable and stable when the pool grows."""
    return f"{task}/{image_sha[:20]}"
