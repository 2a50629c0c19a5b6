"""A training sample in the notations that trainers read."""

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from components.instructions.replies.conversation import IMAGE_PLACEHOLDER
from components.pool.samples import InstructedImage, Turn
from components.schemas import TRAINING_SAMPLES

# What TRL and the Hugging Face trainers take: messages of typed parts, and the images as paths in a column of
# their own. The image part carries no text.
MESSAGES = pa.schema(
    [
        ("sample_id", pa.string()),
        ("task", pa.string()),
        (
            "messages",
            pa.list_(
                pa.struct(
                    [
                        ("role", pa.string()),
                        ("content", pa.list_(pa.struct([("type", pa.string()), ("text", pa.string())]))),
                    ]
                )
            ),
        ),
        ("images", pa.list_(pa.string())),
    ]
)

ImagePath = Callable[[InstructedImage], str]


def training_samples(table: pa.Table) -> tuple[InstructedImage, ...]:
    """Turn rows into records, a sample of several copies into as many.

    Args:
        table: columns of `components.schemas.TRAINING_SAMPLES`.
    """
    return tuple(
        InstructedImage(
            sample_id=row["sample_id"],
            task=row["task"],
            uri=row["uri"],
            image_sha=row["image_sha"],
            turns=tuple(Turn(turn["question"], turn["response"]) for turn in row["turns"]),
        )
        for row in table.select(TRAINING_SAMPLES.names).to_pylist()
        for _ in range(row["copies"])
    )


def llava_record(sample: InstructedImage, image: str) -> Mapping[str, object]:
    """One entry of a LLaVA JSON file; without `conversations` when the sample has no instruction."""
    record: dict[str, object] = {"id": sample.sample_id, "image": image, "task": sample.task}
    if sample.turns:
        record["conversations"] = _conversation(sample.turns, placeholder=f"{IMAGE_PLACEHOLDER}\n")
    return record


def sharegpt_record(sample: InstructedImage, image: str) -> Mapping[str, object]:
    """One entry of a ShareGPT JSON file with an `images` column, as LLaMA-Factory reads it."""
    return {
        "id": sample.sample_id,
        "conversations": _conversation(sample.turns, placeholder=IMAGE_PLACEHOLDER),
        "images": [image],
    }


def messages_table(samples: Sequence[InstructedImage], images: Sequence[str]) -> pa.Table:
    """All samples as Parquet messages, columns of `MESSAGES`."""
    rows = [
        {
            "sample_id": sample.sample_id,
            "task": sample.task,
            "messages": [
                message
                for number, turn in enumerate(sample.turns)
                for message in _messages(turn, with_image=number == 0)
            ],
            "images": [image],
        }
        for sample, image in zip(samples, images, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=MESSAGES)


def _conversation(turns: Sequence[Turn], *, placeholder: str) -> list[dict[str, str]]:
    messages: list[dict[str, str]] = []
    for number, turn in enumerate(turns):
        messages.append({"from": "human", "value": turn.question if number else placeholder + turn.question})
        messages.append({"from": "gpt", "value": turn.response})
    return messages


def _messages(turn: Turn, *, with_image: bool) -> list[dict[str, object]]:
    question: list[dict[str, str | None]] = [{"type": "text", "text": turn.question}]
    if with_image:
        question.insert(0, {"type": "image", "text": None})
    return [
        {"role": "user", "content": question},
        {"role": "assistant", "content": [{"type": "text", "text": turn.response}]},
    ]
