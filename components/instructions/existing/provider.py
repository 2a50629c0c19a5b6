"""Provider `existing`: instructions that came with the pool or from annotators, in LLaVA annotation files.

The files are passed over once for the places of their records. Only the records of a sample that is asked for
are read, by their byte ranges, so an annotation of any other image has no influence on anything.
"""

import hashlib
import json
import logging
import time
from collections.abc import Sequence

from components.instructions.existing.annotation_index import (
    AnnotationCount,
    AnnotationIndex,
    AnnotationLocation,
    index_annotations,
    read_annotations,
)
from components.instructions.provider import Answer, Failure, PurchaseBook, Send
from components.instructions.replies.conversation import ConversationError, parse_conversation, record_messages
from components.instructions.request import IdentifiedRequest, InstructionRequest, RequestSpecification
from components.parameters.instructions import AnnotationFile
from components.parameters.parameters import SourceParameters, TaskRule
from components.pool.images import ImageError, read_image_bytes
from components.pool.samples import Turn
from components.pool.sources import task_field_of_files
from components.pool.task_rule import NoTaskError, derive_task

_LOG = logging.getLogger(__name__)

# Reading costs nothing and can be repeated, so many answers share one durable write.
_GROUP = 256


class ExistingInstructions:
    """Reads the annotations of chosen samples; see `components.instructions.provider.InstructionProvider`.

    A record answers for a sample when its id is among the sample's record ids, its image is the sample's
    image (the same path, or a file with the same bytes), and its task is the sample's. Id and image are found as
    ingest finds them. The task is compared where the rule of the sample's source takes it from a field that the
    record has: the other rules look at the image, which is the same.
    Without sources no task is compared.
    Several records of a sample are joined in file order; a record that is there twice counts once, one without a
    usable conversation is left out and noted.
    """

    name = "existing"

    def __init__(
        self,
        files: Sequence[AnnotationFile],
        sources: Sequence[SourceParameters] = (),
        *,
        price_per_instruction_usd: float,
    ) -> None:
        self._files = tuple(files)
        self._sources = tuple(sources)
        self._task_field: dict[str, str] = {}
        self._price = price_per_instruction_usd
        self._index: AnnotationIndex | None = None
        self._image_shas: dict[str, str | None] = {}

    def specify(self, requests: Sequence[InstructionRequest]) -> list[RequestSpecification]:
        """Describe the annotation that answers each request by its content.

        An annotation that is corrected is another instruction, with a price of its own; one that is moved
        to another file or laid out differently is not.
        """
        specifications: list[RequestSpecification] = []
        for start in range(0, len(requests), _GROUP):
            group = requests[start : start + _GROUP]
            specifications += [_specification(records) for _, records in self._read(group)]
        return specifications

    def at_hand(self, requests: Sequence[InstructionRequest]) -> list[bool]:
        """Whether the files have a record of the sample; whether its conversation is usable shows when it is read."""
        return [bool(self._locate(request)) for request in requests]

    def counts(self) -> tuple[AnnotationCount, ...]:
        """What each annotation file holds."""
        return self._annotations().counts

    def ask(self, requests: Sequence[IdentifiedRequest], *, book: PurchaseBook) -> None:
        """Read and parse the annotations of the requested samples.

        Failure reasons: `no_annotation`, `other_image`, `other_task`, and those of `ConversationError`.
        """
        for start in range(0, len(requests), _GROUP):
            wanted = requests[start : start + _GROUP]
            may_ask = book.announce([Send(identified) for identified in wanted])
            group = [identified for identified, may in zip(wanted, may_ask, strict=True) if may]
            began = time.monotonic()
            found = self._read([identified.request for identified in group])
            seconds = time.monotonic() - began
            outcomes = [
                self._outcome(identified, locations, records, seconds)
                for identified, (locations, records) in zip(group, found, strict=True)
            ]
            book.settle(outcomes)
            noted = [one.note for one in outcomes if isinstance(one, Answer) and one.note]
            if noted:
                _LOG.warning("%d instructions come without some of their records; %s", len(noted), noted[0])

    def _outcome(
        self,
        identified: IdentifiedRequest,
        locations: Sequence[AnnotationLocation],
        records: Sequence[bytes],
        seconds: float,
    ) -> Answer | Failure:
        if not locations:
            reason, detail = self.why_missing(identified.request)
            return Failure(identified.request_id, reason, detail, latency_seconds=seconds)
        raw_text = b"\n".join(records).decode("utf-8", errors="replace")
        turns: list[Turn] = []
        broken: list[tuple[str, str]] = []
        read: set[str] = set()
        for location, record in zip(locations, records, strict=True):
            content = _content(record)
            if content in read:
                continue
            read.add(content)
            try:
                turns += parse_conversation(record)
            except ConversationError as error:
                where = f"record {location.record_id!r} of {self._files[location.file].path}: {error.detail}"
                broken.append((error.reason, where))
        if not turns:
            return Failure(identified.request_id, *broken[0], raw_text=raw_text, latency_seconds=seconds)
        return Answer(
            request_id=identified.request_id,
            turns=tuple(turns),
            model=", ".join(dict.fromkeys(self._files[location.file].path for location in locations)),
            raw_text=raw_text,
            price_usd=self._price,
            latency_seconds=seconds,
            note="; ".join(f"left out: {reason}: {where}" for reason, where in broken),
        )

    def _read(self, requests: Sequence[InstructionRequest]) -> list[tuple[list[AnnotationLocation], list[bytes]]]:
        places = [self._locate(request) for request in requests]
        records = iter(read_annotations(self._annotations(), [place for found in places for place in found]))
        return [(found, [next(records) for _ in found]) for found in places]

    def _annotations(self) -> AnnotationIndex:
        if self._index is None:
            self._task_field = task_field_of_files(self._sources)
            self._index = index_annotations(self._files, task_fields=frozenset(self._task_field.values()))
        return self._index

    def _named(self, request: InstructionRequest) -> list[AnnotationLocation]:
        locations = self._annotations().locations
        return [place for name in dict.fromkeys(request.record_ids) for place in locations.get(name, ())]

    def _locate(self, request: InstructionRequest) -> list[AnnotationLocation]:
        return sorted(
            (
                place
                for place in self._named(request)
                if self._task(place, request) in (None, request.task) and self._shows_image(place, request)
            ),
            key=lambda place: (place.file, place.offset),
        )

    def _task(self, place: AnnotationLocation, request: InstructionRequest) -> str | None:
        """The record's task by the rule of the sample's source; None where that does not depend on the record."""
        field = self._task_field.get(request.source)
        if field is None or place.fields.get(field) is None:
            return None
        try:
            return derive_task(TaskRule(field=field), fields=place.fields, path="")
        except NoTaskError as error:
            return str(error)

    def _shows_image(self, place: AnnotationLocation, request: InstructionRequest) -> bool:
        if place.uri == request.uri:
            return True
        # Ingest merges files with the same bytes into one sample and keeps the path of the first.
        if place.uri and place.uri not in self._image_shas:
            try:
                self._image_shas[place.uri] = hashlib.sha256(read_image_bytes(place.uri)).hexdigest()
            except (ImageError, OSError):
                self._image_shas[place.uri] = None
        return self._image_shas.get(place.uri) == request.image_sha

    def why_missing(self, request: InstructionRequest) -> tuple[str, str]:
        """Reason and detail of a sample that no record answers for."""
        named = self._named(request)
        ids = ", ".join(repr(name) for name in request.record_ids[:3])
        if not named:
            files = ", ".join(file.path for file in self._files) or "none is listed"
            return (
                "no_annotation",
                f"no record with a conversation and id {ids} in the annotation files ({files})",
            )
        pictured = [place for place in named if self._shows_image(place, request)]
        if not pictured:
            return "other_image", (
                f"the annotation of {ids} is of {named[0].uri!r}, the sample's image is {request.uri!r}; "
                "check image_root of the annotation file"
            )
        return "other_task", (
            f"the annotation of {ids} says {self._task_field[request.source]} {self._task(pictured[0], request)!r}, "
            f"not {request.task!r}"
        )


def _specification(records: Sequence[bytes]) -> RequestSpecification:
    # Of what is usable: a record that could not be read and now can makes another instruction of the same files.
    contents = [_content(record) for record in records if _is_usable(record)] or [
        _content(record) for record in records
    ]
    digest = hashlib.sha256("\n".join(contents).encode("utf-8")).hexdigest()
    return RequestSpecification(model=f"annotation sha256:{digest}" if records else "no annotation")


def _is_usable(record: bytes) -> bool:
    try:
        parse_conversation(record)
    except ConversationError:
        return False
    return True


def _content(record: bytes) -> str:
    """The conversation in one fixed notation, or the bytes as they are when they are not JSON."""
    try:
        value = json.loads(record)
    except (ValueError, RecursionError):
        return record.hex()
    return json.dumps(record_messages(value), sort_keys=True, separators=(",", ":"))
