"""Held-out sets: LLaVA JSON with conversations becomes questions with reference answers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from components.benchmark.metrics import METRICS
from components.errors import UserError
from components.instructions.replies.conversation import ConversationError, conversation_turns
from components.instructions.replies.readable import unreadable
from components.parameters.parameters import BenchmarkSet
from components.pool.images import ImageError, load_image, open_image
from components.pool.json_array import JsonArrayError, read_json_records
from components.pool.locations import join_root, leaves_roots, link_advice, open_binary, sha256_hex
from components.pool.record_names import RecordNames, kind_of, name_record
from components.pool.samples import Dropped, Turn


class BenchmarkSetError(UserError, ValueError):
    """A benchmark set as a whole cannot be used."""


@dataclass(frozen=True, slots=True)
class BenchmarkQuestion:
    """One turn of a held-out conversation.

    Attributes:
        record_id: as `components.pool.record_names` finds it.
        turn: number of the turn in its conversation, from 0.
        uri: the image.
        image_sha: sha256 of its bytes, hex.
        history: the turns before, with the responses of the file (not the model's).
        question: what is asked.
        references: answers that are right, at least one.
    """

    record_id: str
    turn: int
    uri: str
    image_sha: str
    history: tuple[Turn, ...]
    question: str
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LoadedBenchmarkSet:
    """A set that is ready to be asked.

    Attributes:
        name: of the set.
        metric: how its answers are judged.
        questions: in file order.
        dropped: records left out and why; `sample_id` is `set/record id`.
    """

    name: str
    metric: str
    questions: tuple[BenchmarkQuestion, ...]
    dropped: tuple[Dropped, ...]


@dataclass(frozen=True, slots=True)
class _Record:
    record_id: str
    uri: str
    turns: tuple[Turn, ...]
    references: tuple[tuple[str, ...], ...]


def load_benchmark_set(benchmark_set: BenchmarkSet, *, pixel_limit: int) -> LoadedBenchmarkSet:
    """Read a set and look at its images.

    A response of the file is the reference answer of its question. Sets with several right answers, such as
    those of ten people, list them in the record's `answers`: texts for a single turn, a list of texts per turn
    otherwise.

    Args:
        benchmark_set: where it is and how it is judged.
        pixel_limit: images with more pixels are left out.

    Returns:
        The questions. Records without a usable conversation or image are left out and counted.

    Raises:
        BenchmarkSetError: the file is missing, is not a JSON array, holds no usable record, or a reference
            answer does not fit the metric.
    """
    dropped: list[Dropped] = []
    records: list[_Record] = []
    for number, raw in enumerate(_read(benchmark_set), start=1):
        names = name_record(raw if isinstance(raw, Mapping) else {}, number)
        try:
            records.append(_parse(raw, names, benchmark_set))
        except ConversationError as error:
            dropped.append(Dropped(f"{benchmark_set.name}/{names.record_id}", error.reason, error.detail))
    images = _check_images((record.uri for record in records), pixel_limit)
    questions: list[BenchmarkQuestion] = []
    for record in records:
        image = images[record.uri]
        if isinstance(image, ImageError):
            name = f"{benchmark_set.name}/{record.record_id}"
            dropped.append(Dropped(name, str(image.reason), image.detail))
            continue
        questions += _questions(record, image)
    if not questions:
        first = f"; e.g. {dropped[0].sample_id}: {dropped[0].detail}" if dropped else ""
        raise BenchmarkSetError(
            f"benchmark set {benchmark_set.name!r} ({benchmark_set.path}) has no usable record{first}"
        )
    _check_references(questions, benchmark_set)
    return LoadedBenchmarkSet(benchmark_set.name, benchmark_set.metric, tuple(questions), tuple(dropped))


def _read(benchmark_set: BenchmarkSet) -> Iterator[object]:
    where = f"benchmark set {benchmark_set.name!r}: {benchmark_set.path!r}"
    try:
        with open_binary(benchmark_set.path) as file:
            yield from read_json_records(file.read)
    except FileNotFoundError:
        raise BenchmarkSetError(f"{where} is not there (params: benchmark.sets)") from None
    except JsonArrayError as error:
        raise BenchmarkSetError(f"{where} {error}") from None
    except (OSError, ValueError) as error:
        raise BenchmarkSetError(f"{where} cannot be read: {error}") from None


def _parse(raw: object, names: RecordNames, benchmark_set: BenchmarkSet) -> _Record:
    if not isinstance(raw, Mapping):
        raise ConversationError("invalid_record", f"the record is {kind_of(raw)}, not an object")
    if names.fault:
        raise ConversationError("invalid_record" if names.image else "no_image", names.fault)
    uri = join_root(benchmark_set.image_root, names.image)
    if uri is None:
        raise ConversationError("outside_root", f"{names.image!r} leaves {benchmark_set.image_root!r}")
    real = leaves_roots(uri, benchmark_set.roots)
    if real is not None:
        advice = link_advice(real, "benchmark.sets.further_roots")
        raise ConversationError("outside_root", f"{names.image!r} leaves {benchmark_set.image_root!r}: {advice}")
    turns = conversation_turns(raw)
    answers = raw.get("answers")
    references = tuple((turn.response,) for turn in turns) if answers is None else _references(answers, turns)
    return _Record(names.record_id, uri, turns, references)


def _references(answers: object, turns: Sequence[Turn]) -> tuple[tuple[str, ...], ...]:
    if isinstance(answers, list) and answers and all(isinstance(answer, str) for answer in answers):
        answers = [answers]
    fits = (
        isinstance(answers, list)
        and len(answers) == len(turns)
        and all(isinstance(one, list) and one and all(isinstance(text, str) for text in one) for one in answers)
    )
    if not fits or not isinstance(answers, list):
        raise ConversationError(
            "invalid_answers", f"'answers' must hold a list of texts for each of the {len(turns)} turns"
        )
    fault = next((unreadable(text) for one in answers for text in one if unreadable(text)), "")
    if fault:
        raise ConversationError("not_text", f"an answer {fault}")
    return tuple(tuple(one) for one in answers)


def _check_images(uris: Iterable[str], pixel_limit: int) -> dict[str, str | ImageError]:
    distinct = list(dict.fromkeys(uris))

    def check(uri: str) -> str | ImageError:
        try:
            with open_image(uri) as file:
                image_sha = sha256_hex(file)
            load_image(uri, image_sha=image_sha, pixel_limit=pixel_limit)
        except ImageError as error:
            return error
        return image_sha

    with ThreadPoolExecutor() as pool:
        return dict(zip(distinct, pool.map(check, distinct), strict=True))


def _questions(record: _Record, image_sha: str) -> list[BenchmarkQuestion]:
    return [
        BenchmarkQuestion(
            record_id=record.record_id,
            turn=number,
            uri=record.uri,
            image_sha=image_sha,
            history=record.turns[:number],
            question=turn.question,
            references=references,
        )
        for number, (turn, references) in enumerate(zip(record.turns, record.references, strict=True))
    ]


def _check_references(questions: Sequence[BenchmarkQuestion], benchmark_set: BenchmarkSet) -> None:
    judge = METRICS[benchmark_set.metric]
    for question in questions:
        try:
            judge("", question.references)
        except ValueError as error:
            raise BenchmarkSetError(
                f"benchmark set {benchmark_set.name!r}, record {question.record_id!r}: metric "
                f"{benchmark_set.metric} does not fit: {error}"
            ) from None
