"""Finds the sample that a person means."""

import difflib
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from components.errors import UserError

_SHOWN = 5
_SHORTEST_SHA = 8


class UnknownSampleError(UserError, ValueError):
    """No sample, or more than one, goes by that name; the message lists what may have been meant."""


@dataclass(frozen=True, slots=True)
class PoolSample:
    """A sample of the manifest; see `components.schemas.SAMPLES`."""

    sample_id: str
    task: str
    image_sha: str
    uri: str
    source: str
    record_ids: tuple[str, ...]
    near_duplicate_of: str


@dataclass(frozen=True, slots=True)
class QuarantinedRecord:
    """A record that did not become a sample; see `components.schemas.QUARANTINE`."""

    source: str
    record_id: str
    image: str
    reason: str
    detail: str


def find_sample(name: str, samples: pa.Table, quarantine: pa.Table) -> PoolSample | QuarantinedRecord:
    """Look a name up.

    Args:
        name: a sample id, a record id, an image path or URI, or the first 8 or more digits of an image's sha256.
        samples: the pool, columns of `components.schemas.SAMPLES`.
        quarantine: what ingest left out, columns of `components.schemas.QUARANTINE`.

    Returns:
        The sample, or the quarantined record when no sample goes by that name.

    Raises:
        UnknownSampleError: nothing goes by that name, or several samples do.
    """
    found = _matching(name, samples)
    if found.num_rows == 1:
        row = found.to_pylist()[0]
        return PoolSample(**{**row, "record_ids": tuple(row["record_ids"])})
    if found.num_rows:
        ids = found["sample_id"].to_pylist()
        more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
        raise UnknownSampleError(f"{name!r} names {len(ids)} samples; give one of {', '.join(ids[:_SHOWN])}{more}")
    refused = quarantine.filter((pc.field("record_id") == name) | (pc.field("image") == name))
    if refused.num_rows:
        return QuarantinedRecord(**refused.to_pylist()[0])
    close = _close_matches(name, samples, quarantine)
    hint = f"did you mean {' or '.join(close)}?" if close else "nothing has a similar name"
    raise UnknownSampleError(
        f"no sample or record {name!r} in the pool of {samples.num_rows} samples; {hint} "
        "(a sample id, a record id, an image path or the start of an image's sha256)"
    )


def _matching(name: str, samples: pa.Table) -> pa.Table:
    by_id = samples.filter(pc.field("sample_id") == name)
    if by_id.num_rows:
        return by_id
    records = samples["record_ids"].combine_chunks()
    rows = pc.unique(pc.list_parent_indices(records).filter(pc.equal(pc.list_flatten(records), name)))
    if len(rows):
        return samples.take(rows)
    by_path = samples.filter((pc.field("uri") == name) | pc.ends_with(pc.field("uri"), f"/{name}"))
    if by_path.num_rows or len(name) < _SHORTEST_SHA:
        return by_path
    return samples.filter(pc.starts_with(pc.field("image_sha"), name.lower()))


def _close_matches(name: str, samples: pa.Table, quarantine: pa.Table) -> list[str]:
    names = {
        *samples["sample_id"].to_pylist(),
        *pc.list_flatten(samples["record_ids"]).to_pylist(),
        *quarantine["record_id"].to_pylist(),
    }
    names.discard("")
    begins = sorted(other for other in names if other.startswith(name))[:_SHOWN] if name else []
    return begins or difflib.get_close_matches(name, sorted(names), n=_SHOWN, cutoff=0.6)
