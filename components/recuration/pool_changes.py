"""How a pool differs from what it was at an earlier curation: images new, changed and gone, with reasons."""

from collections import Counter
from dataclasses import dataclass

import pyarrow as pa

from components.text import shortened

CHANGED_BYTES = "the file has other bytes now"
NOT_LISTED = "no longer listed, or listed under another task"
QUARANTINED = "quarantined: "


@dataclass(frozen=True, slots=True)
class GoneCount:
    """How many samples left the pool for one reason."""

    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class PoolChanges:
    """A pool against an earlier one. A changed file is a new sample, and its old one is gone.

    Attributes:
        before: samples of the earlier pool.
        now: samples of the pool.
        new: sample ids that were not there, changed files included.
        changed: of the new, those whose file was there with other bytes.
        gone: sample ids that are no longer there.
        gone_reasons: why, most frequent first, ties by name.
        new_tasks: tasks that had no sample, by name.
        gone_tasks: tasks that have none any more, by name.
    """

    before: int
    now: int
    new: tuple[str, ...]
    changed: tuple[str, ...]
    gone: tuple[str, ...]
    gone_reasons: tuple[GoneCount, ...]
    new_tasks: tuple[str, ...]
    gone_tasks: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The changes in one line."""
        reasons = "; ".join(f"{item.count:,} {item.reason}" for item in self.gone_reasons)
        tasks = [f"new task {shortened(task)}" for task in self.new_tasks]
        tasks += [f"task {shortened(task)} is gone" for task in self.gone_tasks]
        parts = [
            f"{len(self.new):,} new images"
            + (f" ({len(self.changed):,} of them changed files)" if self.changed else ""),
            f"{len(self.gone):,} gone" + (f" ({reasons})" if reasons else ""),
            *tasks,
        ]
        return ", ".join(parts)


def pool_changes(earlier: pa.Table, samples: pa.Table, quarantine: pa.Table) -> PoolChanges:
    """Compare two versions of the pool.

    Args:
        earlier: SAMPLES of the earlier curation.
        samples: SAMPLES now.
        quarantine: QUARANTINE now, which says why a listed file gives no sample any more.

    Returns:
        What is new, changed and gone.
    """
    before, now = _samples_by_id(earlier), _samples_by_id(samples)
    new, gone = sorted(now.keys() - before.keys()), sorted(before.keys() - now.keys())
    places_before = {(row["task"], row["uri"]) for row in before.values()}
    places_now = {(row["task"], row["uri"]) for row in now.values()}
    refused = {
        (source, record_id): reason
        for source, record_id, reason in zip(*quarantine.select(_REFUSED).to_pydict().values(), strict=True)
    }
    reasons = Counter(_why_gone(before[sample_id], places_now, refused) for sample_id in gone)
    tasks_before, tasks_now = set(earlier["task"].to_pylist()), set(samples["task"].to_pylist())
    return PoolChanges(
        before=len(before),
        now=len(now),
        new=tuple(new),
        changed=tuple(
            sample_id for sample_id in new if (now[sample_id]["task"], now[sample_id]["uri"]) in places_before
        ),
        gone=tuple(gone),
        gone_reasons=tuple(
            GoneCount(reason, count) for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        ),
        new_tasks=tuple(sorted(tasks_now - tasks_before)),
        gone_tasks=tuple(sorted(tasks_before - tasks_now)),
    )


_REFUSED = ["source", "record_id", "reason"]
_COMPARED = ["sample_id", "task", "uri", "source", "record_ids"]
_Row = dict[str, object]


def _samples_by_id(samples: pa.Table) -> dict[str, _Row]:
    return {str(row["sample_id"]): row for row in samples.select(_COMPARED).to_pylist()}


def _why_gone(row: _Row, places_now: set[tuple[object, object]], refused: dict[tuple[object, object], str]) -> str:
    if (row["task"], row["uri"]) in places_now:
        return CHANGED_BYTES
    assert isinstance(row["record_ids"], list)
    for record_id in row["record_ids"]:
        if (row["source"], record_id) in refused:
            return QUARANTINED + refused[row["source"], record_id]
    return NOT_LISTED
