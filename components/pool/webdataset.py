"""Sources of kind `webdataset`: tar shards in which the files of one record share a key."""

import json
import posixpath
import tarfile
from collections.abc import Iterator
from itertools import groupby
from typing import BinaryIO

from components.parameters.parameters import SourceParameters
from components.pool.images import SUFFIXES
from components.pool.locations import tar_member_uri
from components.pool.reasons import QuarantineReason
from components.pool.record_fields import printable, text_fault
from components.pool.records import PoolRecord, Reader, RejectedRecord, SourceError
from components.pool.snapshot import describe_shards
from components.pool.source_file import open_source_file, source_files
from components.pool.task_rule import NoTaskError, derive_task

_LARGEST_METADATA = 16 << 20  # bytes of a record's JSON


class _RecordFaultError(ValueError):
    """The files under one key make no record."""

    def __init__(self, reason: QuarantineReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def read_webdataset(source: SourceParameters) -> Iterator[PoolRecord | RejectedRecord]:
    """Read tar shards; only headers and the small `.json` members are read, images stay where they are.

    A record is a run of members with one key (the path up to the first dot of its last part): one image and,
    if there is one, a `.json` member with its fields. Without an `id` field the id is `SHARD/KEY`. The image is
    called `SHARD/MEMBER`, which a task `pattern` is matched against; the task `prefix` is the member's first
    folder. `image_root` is not used: nothing is unpacked.

    Raises:
        SourceError: a shard is missing or not an uncompressed tar file.
    """
    for shard in source_files(source):
        with open_source_file(shard) as stream:
            yield from _read_shard(stream, shard, source)


WEBDATASET = Reader(records=read_webdataset, snapshot=describe_shards, needs_image_root=False)


def _read_shard(stream: BinaryIO, shard: str, source: SourceParameters) -> Iterator[PoolRecord | RejectedRecord]:
    try:
        archive = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115 - closed by the block below
    except tarfile.TarError as error:
        stream.seek(0)
        compressed = stream.read(4).startswith((b"\x1f\x8b", b"BZh", b"\xfd7zX", b"\x28\xb5\x2f\xfd"))
        advice = "decompress it: members are read at random" if compressed else "copy or write it again"
        raise SourceError(f"source {shard} is not an uncompressed tar file ({error}); {advice}") from error
    count = 0
    with archive:
        try:
            for key, members in groupby((member for member in archive if not member.isdir()), key=_key):
                count += 1
                yield _read_record(archive, list(members), key, shard, source)
        except tarfile.TarError as error:
            detail = f"the shard is damaged or cut off after {count} records ({error}); those are used"
            yield RejectedRecord(shard, "", shard, QuarantineReason.CORRUPT, detail)


def _read_record(
    archive: tarfile.TarFile, members: list[tarfile.TarInfo], key: str, shard: str, source: SourceParameters
) -> PoolRecord | RejectedRecord:
    shard_name = posixpath.basename(shard)
    record_id = printable(f"{shard_name}/{key}")
    image_name = ""
    try:
        fields = _read_fields(archive, members)
        if isinstance(fields.get("id"), str | int) and str(fields["id"]):
            record_id = printable(str(fields["id"]))
        image = _only_image(members, fields)
        image_name = f"{shard_name}/{image.name}"
        path = image.name if source.task.prefix is not None else image_name
        task = derive_task(source.task, fields=fields, path=path)
        fault = text_fault(image_name) or text_fault(task)
        if fault:
            raise _RecordFaultError(QuarantineReason.INVALID_RECORD, f"a name {fault}")
    except NoTaskError as error:
        detail = printable(str(error))
        return RejectedRecord(shard, record_id, image_name, QuarantineReason.INVALID_RECORD, detail)
    except _RecordFaultError as error:
        return RejectedRecord(shard, record_id, printable(image_name), error.reason, printable(str(error)))
    uri = tar_member_uri(shard, offset=image.offset_data, size=image.size)
    return PoolRecord(shard, record_id, image_name, task, uri, None)


def _read_fields(archive: tarfile.TarFile, members: list[tarfile.TarInfo]) -> dict[str, object]:
    for member in members:
        if posixpath.splitext(member.name)[1].lower() != ".json" or not member.isreg():
            continue
        if member.size > _LARGEST_METADATA:
            detail = f"{member.name} has {member.size} bytes, {_LARGEST_METADATA} are allowed"
            raise _RecordFaultError(QuarantineReason.INVALID_RECORD, detail)
        file = archive.extractfile(member)
        assert file is not None  # a regular file
        try:
            fields = json.loads(file.read())
        except (ValueError, RecursionError) as error:
            detail = f"{member.name} is not JSON: {error}"
            raise _RecordFaultError(QuarantineReason.INVALID_RECORD, detail) from None
        if not isinstance(fields, dict):
            detail = f"{member.name} must hold an object, it holds {type(fields).__name__}"
            raise _RecordFaultError(QuarantineReason.INVALID_RECORD, detail)
        return fields
    return {}


def _only_image(members: list[tarfile.TarInfo], fields: dict[str, object]) -> tarfile.TarInfo:
    images = [member for member in members if posixpath.splitext(member.name)[1].lower() in SUFFIXES]
    if len(images) == 1:
        if not images[0].isreg() or images[0].issparse():
            detail = f"{images[0].name} is a link or a sparse member"
            raise _RecordFaultError(QuarantineReason.NOT_A_FILE, detail)
        return images[0]
    names = ", ".join(member.name for member in members)
    if images:
        detail = f"{len(images)} images under one key, one is allowed: {names}"
        raise _RecordFaultError(QuarantineReason.INVALID_RECORD, detail)
    if fields.get("conversations"):
        raise _RecordFaultError(QuarantineReason.TEXT_ONLY, "a conversation without an image")
    raise _RecordFaultError(QuarantineReason.UNSUPPORTED, f"no image among {names}")


def _key(member: tarfile.TarInfo) -> str:
    folder, name = posixpath.split(member.name)
    return posixpath.join(folder, name.partition(".")[0])
