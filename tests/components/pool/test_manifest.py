from pathlib import Path

from components.compute.local import LocalEngine
from components.compute.progress import no_progress
from components.pool.ingest import ingest
from components.pool.manifest import IngestResult, read_images, read_quarantine, read_samples, write_manifest
from tests.components.pool.conftest import options, textured


def grown(tmp_path: Path, write_pool, count: int, bits: int = 4) -> IngestResult:
    records = [{"id": str(number), "image": f"{number}.png", "task": "t"} for number in range(count)]
    pool = write_pool([*records, "broken"])
    for number in range(count):
        file = tmp_path / "images" / f"{number}.png"
        if not file.exists():
            textured(number).save(file)
    return ingest(
        [pool],
        options(near_duplicate_bits=bits),
        known_images=tmp_path / "known",
        progress=no_progress,
        engine=LocalEngine(),
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.rglob("*.parquet")}


def test_what_is_written_is_read(tmp_path, write_pool):
    result = grown(tmp_path, write_pool, 5)
    assert write_manifest(tmp_path / "manifest", result) == 5
    assert read_samples(tmp_path / "manifest").equals(result.samples)
    assert read_images(tmp_path / "manifest").equals(result.images)
    assert read_quarantine(tmp_path / "manifest").equals(result.quarantine)


def test_a_grown_pool_adds_a_part_and_changes_none(tmp_path, write_pool):
    write_manifest(tmp_path / "manifest", grown(tmp_path, write_pool, 3))
    before = contents(tmp_path / "manifest" / "images")
    assert write_manifest(tmp_path / "manifest", grown(tmp_path, write_pool, 5)) == 2
    after = contents(tmp_path / "manifest" / "images")
    assert sorted(after) == ["part-00000.parquet", "part-00001.parquet"]
    assert after["part-00000.parquet"] == before["part-00000.parquet"]
    images = read_images(tmp_path / "manifest").column("image_sha").to_pylist()
    assert images == sorted(images)
    assert len(images) == 5
    assert write_manifest(tmp_path / "manifest", grown(tmp_path, write_pool, 4)) == 0
    assert len(contents(tmp_path / "manifest" / "images")) == 2
    assert read_samples(tmp_path / "manifest").num_rows == 4


def test_equal_pools_give_equal_bytes(tmp_path, write_pool):
    for name in ("one", "two"):
        write_manifest(tmp_path / name, grown(tmp_path, write_pool, 3))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_hashes_computed_later_are_added(tmp_path, write_pool):
    assert write_manifest(tmp_path / "manifest", grown(tmp_path, write_pool, 3, bits=-1)) == 3
    assert write_manifest(tmp_path / "manifest", grown(tmp_path, write_pool, 3)) == 3
    images = read_images(tmp_path / "manifest")
    assert images.num_rows == 3
    assert all(images.column("perceptual_hash").to_pylist())
    assert write_manifest(tmp_path / "manifest", grown(tmp_path, write_pool, 3, bits=-1)) == 0
