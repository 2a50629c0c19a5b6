"""Sources of kind `webdataset`: tar shards in which the files of one record share a key."""

import json
import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass

from components.parameters.parameters import SourceParameters
from components.pool.images import SUFFIXES
from components.pool.locations import tar_member_uri
from components.pool.reasons import QuarantineReason
from components.pool.record_names import kind_of, name_record, printable, text_fault
from components.pool.records import PoolRecord, Reader, RejectedRecord, broken_file
from components.pool.snapshot import describe_shards
from components.pool.source_file import open_source_file, source_files
from components.pool.tar_shard import Member, open_shard, read_members
from components.pool.task_rule import NoTaskError, derive_task

_LARGEST_METADATA = 16 << 20  # bytes of a record's JSON


class _RecordFaultError(ValueError):
    """The files under one key make no record."""

    def __init__(self, reason: QuarantineReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Group:
    """The files under one key."""

    shard: str
    key: str
    members: list[Member]


def read_webdataset(source: SourceParameters) -> Iterator[PoolRecord | RejectedRecord]:
    """Read tar shards; only headers and the small `.json` members are read, images stay where they are.

    A record is the members of one key (the path up to the first dot of its last part), wherever in the shard they
    are: one image and, if there is one, `KEY.json` with its fields. Without an `id` field the id is `SHARD/KEY`. The
    image is called `SHARD/MEMBER`, which a task `pattern` is matched against; the task `prefix` is the member's first
    folder. `image_root` is not used: nothing is unpacked. A shard that is damaged gives what comes before, and a
    rejected entry that says where it broke.

    Raises:
        SourceError: a shard is missing or not an uncompressed tar file.
    """
    for shard in source_files(source):
        with open_source_file(shard) as stream, open_shard(stream, shard) as archive:
            members, damage = read_members(archive, stream)
            groups: dict[str, list[Member]] = {}
            for member in members:
                groups.setdefault(_key(member.name), []).append(member)
            for key, parts in groups.items():
                assert archive is not None  # it has members
                yield _read_record(archive, _Group(shard, key, parts), source)
            if damage:
                detail = (
                    f"the shard is damaged or cut off after {len(groups)} records: {damage}; copy or write it again"
                )
                yield broken_file(shard, detail)


WEBDATASET = Reader(records=read_webdataset, snapshot=describe_shards, needs_image_root=False)


def _read_record(archive: tarfile.TarFile, group: _Group, source: SourceParameters) -> PoolRecord | RejectedRecord:
    shard_name = posixpath.basename(group.shard)
    record_id = printable(f"{shard_name}/{group.key}")
    image_name = ""
    try:
        fields = _read_fields(archive, group)
        names = name_record({"id": fields.get("id"), "image": record_id}, 0)
        record_id = record_id if names.fault else names.record_id
        image = _only_image(group, fields)
        image_name = f"{shard_name}/{image.name}"
        path = image.name if source.task.prefix is not None else image_name
        task = derive_task(source.task, fields=fields, path=path)
        fault = names.fault or next(
            (f"a name {text_fault(text)}" for text in (image_name, task) if text_fault(text)), ""
        )
        if fault:
            raise _RecordFaultError(QuarantineReason.INVALID_RECORD, fault)
    except NoTaskError as error:
        detail = printable(str(error))
        return RejectedRecord(group.shard, record_id, printable(image_name), QuarantineReason.INVALID_RECORD, detail)
    except _RecordFaultError as error:
        return RejectedRecord(group.shard, record_id, printable(image_name), error.reason, printable(str(error)))
    uri = tar_member_uri(group.shard, offset=image.info.offset_data, size=image.info.size)
    return PoolRecord(group.shard, record_id, image_name, task, uri, None)


def _read_fields(archive: tarfile.TarFile, group: _Group) -> dict[str, object]:
    jsons = [member for member in group.members if _suffix(member) == ".json" and member.info.isreg()]
    own = [member for member in jsons if member.name.lower() == f"{group.key}.json".lower()]
    found = own or jsons
    if len(found) > 1:
        detail = (
            f"{len(found)} members could hold the fields, one is allowed: {_named(found)}; call it {group.key}.json"
        )
        raise _RecordFaultError(QuarantineReason.INVALID_RECORD, detail)
    if not found:
        return {}
    (member,) = found
    if member.info.size > _LARGEST_METADATA:
        detail = f"{member.name} has {member.info.size} bytes, {_LARGEST_METADATA} are allowed"
        raise _RecordFaultError(QuarantineReason.INVALID_RECORD, detail)
    file = archive.extractfile(member.info)
    assert file is not None  # a regular file
    try:
        fields = json.loads(file.read())
    except (ValueError, RecursionError) as error:
        detail = f"{member.name} is not JSON: {error}"
        raise _RecordFaultError(QuarantineReason.INVALID_RECORD, detail) from None
    if not isinstance(fields, dict):
        detail = f"{member.name} must hold an object, it holds {kind_of(fields)}"
        raise _RecordFaultError(QuarantineReason.INVALID_RECORD, detail)
    return fields


def _only_image(group: _Group, fields: dict[str, object]) -> Member:
    images = [member for member in group.members if _suffix(member) in SUFFIXES]
    if len(images) == 1:
        if not images[0].info.isreg() or images[0].info.issparse():
            detail = f"{images[0].name} is a link or a sparse member"
            raise _RecordFaultError(QuarantineReason.NOT_A_FILE, detail)
        return images[0]
    if images:
        detail = (
            f"{len(images)} images under the key {group.key} (the name up to its first dot), one is allowed: "
            f"{_named(group.members)}"
        )
        raise _RecordFaultError(QuarantineReason.INVALID_RECORD, detail)
    if name_record({**fields, "image": None, "images": None}, 0).text_only:
        raise _RecordFaultError(QuarantineReason.TEXT_ONLY, "a conversation without an image")
    raise _RecordFaultError(QuarantineReason.UNSUPPORTED, f"no image among {_named(group.members)}")


def _suffix(member: Member) -> str:
    return posixpath.splitext(member.name)[1].lower()


def _named(members: list[Member]) -> str:
    return ", ".join(member.name for member in members)


def _key(name: str) -> str:
    folder, file = posixpath.split(name)
    # The dot of a hidden file is no end of its key.
    return posixpath.join(folder, file[:1] + file[1:].partition(".")[0])
