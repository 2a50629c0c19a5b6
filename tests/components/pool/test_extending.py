"""A source format is one Reader and one line in a dict: a toy format is taken through ingest and the snapshot."""

import csv
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import MappingProxyType

import pytest

from components.compute.local import LocalEngine
from components.compute.progress import no_progress
from components.parameters.parameters import SourceParameters
from components.pool import sources
from components.pool.ingest import ingest
from components.pool.locations import join_root
from components.pool.reasons import QuarantineReason
from components.pool.records import PoolRecord, Reader, RejectedRecord, SourceError
from components.pool.snapshot import describe_record_files
from components.pool.source_file import source_files
from tests.components.pool.conftest import options, source, textured


def read_csv(source: SourceParameters) -> Iterator[PoolRecord | RejectedRecord]:
    for file in source_files(source):
        for number, (image, task) in enumerate(csv.reader(Path(file).read_text().splitlines()), start=1):
            uri = join_root(source.image_root, image)
            if uri is None:
                yield RejectedRecord(file, f"#{number}", image, QuarantineReason.OUTSIDE_ROOT, "it leaves the root")
            else:
                yield PoolRecord(file, f"#{number}", image, task, uri, source.image_root)


@pytest.fixture
def pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    toy = Reader(records=read_csv, snapshot=partial(describe_record_files, read_csv), needs_image_root=True)
    monkeypatch.setattr(sources, "READERS", MappingProxyType({**sources.READERS, "csv": toy}))
    (tmp_path / "images").mkdir()
    for seed in range(3):
        textured(seed).save(tmp_path / "images" / f"{seed}.png")
    (tmp_path / "pool.csv").write_text("0.png,colour\n1.png,shape\n2.png,shape\n../away.png,shape\n9.png,shape\n")
    return tmp_path


def test_a_toy_format_is_ingested(pool: Path) -> None:
    toy = source("csv", pool / "pool.csv", pool / "images")
    result = ingest([toy], options(), known_images=pool / "known.parquet", progress=no_progress, engine=LocalEngine())
    rows = sorted((row["task"], row["record_ids"]) for row in result.samples.to_pylist())
    assert rows == [("colour", ["#1"]), ("shape", ["#2"]), ("shape", ["#3"])]
    reasons = [(row["record_id"], row["reason"]) for row in result.quarantine.to_pylist()]
    assert reasons == [("#4", "outside_root"), ("#5", "missing")]


def test_its_snapshot_changes_with_what_it_would_read(pool: Path) -> None:
    toy = source("csv", pool / "pool.csv", pool / "images")
    before = sources.snapshot_sources([toy])
    assert json.loads(before)[0]["kind"] == "csv"
    assert sources.snapshot_sources([toy]) == before
    textured(7).save(pool / "images" / "7.png")
    with_image = sources.snapshot_sources([toy])
    assert with_image != before
    (pool / "pool.csv").write_text("0.png,colour\n")
    assert sources.snapshot_sources([toy]) not in (before, with_image)


def test_it_needs_its_image_root(pool: Path) -> None:
    with pytest.raises(SourceError, match="is not a folder; correct sources"):
        sources.read_pool([source("csv", pool / "pool.csv", pool / "nowhere")])
