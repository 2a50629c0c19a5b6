"""Images that were found good before: a file whose stamp is the same is neither read nor hashed again.

The file is a help, not a result: it may be deleted at any time.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from components.pool.image_check import ImageFacts
from components.schemas import IMAGES
from components.storage import read_table, write_table

_log = logging.getLogger(__name__)

# Raise the number when the same bytes would lead to other facts than before.
_FACTS_VERSION = 1
_SCHEMA = pa.schema([("facts_version", pa.int32()), ("stamp", pa.string()), *IMAGES])


@dataclass(frozen=True, slots=True)
class KnownImage:
    """The facts of a good image and the stamp that its file had."""

    stamp: str
    facts: ImageFacts


def read_known_images(path: Path) -> dict[str, KnownImage]:
    """Read the known images by URI; none when the file is not there or cannot be used."""
    if not path.exists():
        return {}
    try:
        table = read_table(path, _SCHEMA)
    except (pa.ArrowException, ValueError) as error:
        _log.warning("%s is not usable (%s); all images are read again", path, error)
        return {}
    known = {}
    for batch in table.to_batches(max_chunksize=65536):
        for row in batch.to_pylist():
            if row.pop("facts_version") == _FACTS_VERSION:
                known[row["uri"]] = KnownImage(stamp=row.pop("stamp"), facts=ImageFacts(**row))
    return known


def write_known_images(path: Path, known: Mapping[str, KnownImage]) -> None:
    """Replace the known images."""
    columns: dict[str, list[object]] = {name: [] for name in _SCHEMA.names}
    for image in known.values():
        columns["facts_version"].append(_FACTS_VERSION)
        columns["stamp"].append(image.stamp)
        for name, value in asdict(image.facts).items():
            columns[name].append(value)
    write_table(path, pa.table(columns, schema=_SCHEMA))
