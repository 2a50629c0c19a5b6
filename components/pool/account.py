"""The account of the records: what became of each, by source, and the same in words."""

from collections import Counter
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from components.pool.reasons import count_reasons
from components.pool.records import PoolRecord, RejectedRecord
from components.schemas import RECORDS

_SOURCES_NAMED = 10


def count_records(entries: Sequence[PoolRecord | RejectedRecord], first_sources: Sequence[str]) -> pa.Table:
    """Count what became of the records.

    Args:
        entries: all, in the order of the sources, as ingest settled them.
        first_sources: of each sample the source that named it first.

    Returns:
        `RECORDS`.
    """
    records = Counter(entry.source for entry in entries)
    quarantined = Counter(entry.source for entry in entries if isinstance(entry, RejectedRecord))
    samples = Counter(first_sources)
    rows = [
        {
            "source": source,
            "records": count,
            "samples": samples[source],
            "merged": count - samples[source] - quarantined[source],
            "quarantined": quarantined[source],
        }
        for source, count in records.items()
    ]
    return pa.Table.from_pylist(rows, schema=RECORDS)


def account_sentence(records: pa.Table, quarantine: pa.Table) -> str:
    """What became of all records.

    Args:
        records: `RECORDS`.
        quarantine: `QUARANTINE`.
    """
    totals = {name: pc.sum(records[name]).as_py() or 0 for name in RECORDS.names[1:]}
    return f"{_summed(totals)}{_reasons(quarantine)}"


def account_sentences(records: pa.Table, quarantine: pa.Table) -> tuple[str, ...]:
    """`account_sentence`, then the same of the sources that lose records, where there are several.

    Args:
        records: `RECORDS`.
        quarantine: `QUARANTINE`.
    """
    return (account_sentence(records, quarantine), *_sources(records, quarantine))


def reason_examples(quarantine: pa.Table) -> Iterator[str]:
    """Of every reason that occurs in `QUARANTINE` one record, the most frequent first."""
    for item in count_reasons(quarantine):
        row = quarantine.filter(pc.equal(quarantine["reason"], item.reason)).slice(0, 1).to_pylist()[0]
        yield f"{item.reason}, e.g. {row['source']}: {row['detail']}"


def _sources(records: pa.Table, quarantine: pa.Table) -> Iterator[str]:
    losing = [row for row in records.to_pylist() if row["quarantined"]]
    if records.num_rows < 2:
        return
    for row in losing[:_SOURCES_NAMED]:
        lost = quarantine.filter(pc.equal(quarantine["source"], row["source"]))
        yield f"{row['source']}: {_summed(row)}{_reasons(lost)}"
    if len(losing) > _SOURCES_NAMED:
        yield f"and {len(losing) - _SOURCES_NAMED:,} more sources with records left out"


def _summed(totals: dict[str, int]) -> str:
    merged = f"{totals['merged']:,} more of the same samples, " if totals["merged"] else ""
    return f"{totals['records']:,} records: {totals['samples']:,} samples, {merged}{totals['quarantined']:,} left out"


def _reasons(quarantine: pa.Table) -> str:
    counted = ", ".join(f"{item.count:,} {item.reason}" for item in count_reasons(quarantine))
    return f" ({counted})" if counted else ""
