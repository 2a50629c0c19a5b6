"""A few questions per benchmark set with what the models answered."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from components.report.benchmark import find_run
from components.report.geometry import evenly_spaced
from components.report.inputs import BenchmarkRun, ReportInputs
from components.report.thumbnails import ImageLoader, Thumbnail, ThumbnailFormat, make_thumbnail

Key = tuple[str, int, str]  # record, turn, question


@dataclass(frozen=True, slots=True)
class Answer:
    """One model's answer and its score, 0 to 1."""

    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Example:
    """One question.

    Attributes:
        thumbnail: its image.
        question: the question.
        references: the accepted answers.
        before: the base model's answer, None if it was not measured.
        after: the tuned model's answer.
    """

    thumbnail: Thumbnail
    question: str
    references: tuple[str, ...]
    before: Answer | None
    after: Answer


@dataclass(frozen=True, slots=True)
class ExampleSet:
    """The examples of one benchmark set."""

    name: str
    examples: tuple[Example, ...]


def example_sets(
    inputs: ReportInputs, *, per_set: int, image_loader: ImageLoader, size: ThumbnailFormat
) -> tuple[ExampleSet, ...]:
    """Choose questions evenly between the one that tuning helped most and the one it hurt most.

    Args:
        inputs: the run.
        per_set: questions per benchmark set.
        image_loader: opens an image by URI and sha256.
        size: of the pictures.

    Returns:
        The sets in the order of the tuned model's metrics; none if it was not measured.
    """
    tuned = find_run(inputs.benchmarks, "tuned")
    if tuned is None:
        return ()
    base = find_run(inputs.benchmarks, "base")

    def thumbnail(uri: str) -> Thumbnail:
        return make_thumbnail(uri, "", image_loader=image_loader, size=size)

    sets = []
    for name in tuned.metrics["set"].to_pylist():
        examples = _examples(_by_question(tuned, name), _by_question(base, name), per_set, thumbnail)
        if examples:
            sets.append(ExampleSet(name, examples))
    return tuple(sets)


def _by_question(run: BenchmarkRun | None, set_name: str) -> dict[Key, dict[str, object]]:
    if run is None:
        return {}
    rows: pa.Table = run.predictions.filter(pc.equal(run.predictions["set"], set_name))
    # Sets whose ids are those of the images ask several questions under one.
    return {(row["record_id"], row["turn"], row["question"]): row for row in rows.to_pylist()}


def _examples(
    tuned: dict[Key, dict[str, object]],
    base: dict[Key, dict[str, object]],
    per_set: int,
    thumbnail: Callable[[str], Thumbnail],
) -> tuple[Example, ...]:
    def gain(key: Key) -> float:
        before = float(str(base[key]["score"])) if key in base else 0.0
        return float(str(tuned[key]["score"])) - before

    ordered = sorted(tuned, key=lambda key: (-gain(key), key))
    chosen = [ordered[index] for index in evenly_spaced(len(ordered), per_set)]
    return tuple(_example(tuned[key], base.get(key), thumbnail) for key in chosen)


def _example(
    row: dict[str, object],
    before: dict[str, object] | None,
    thumbnail: Callable[[str], Thumbnail],
) -> Example:
    references = row["references"]
    assert isinstance(references, list)
    return Example(
        thumbnail=thumbnail(str(row["image"])),
        question=str(row["question"]),
        references=tuple(dict.fromkeys(str(item) for item in references)),
        before=None if before is None else _answer(before),
        after=_answer(row),
    )


def _answer(row: dict[str, object]) -> Answer:
    return Answer(str(row["prediction"]), float(str(row["score"])))
