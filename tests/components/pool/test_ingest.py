import json
import os
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from PIL import Image

from components.compute.local import LocalEngine
from components.compute.progress import no_progress
from components.parameters.parameters import IngestParameters, SourceParameters
from components.pool.ingest import ingest
from components.pool.manifest import IngestResult
from components.pool.reasons import QuarantineReason, ReasonCount, count_reasons
from components.pool.records import SourceError
from components.pool.validate import BadImage
from tests.components.pool.conftest import BAD, GOOD, ODD_RECORDS, options, source, textured

WritePool = Callable[..., SourceParameters]


def run(
    tmp_path: Path,
    *sources: SourceParameters,
    given: IngestParameters | None = None,
    known: str = "known",
    processes: int = 0,
) -> IngestResult:
    return ingest(
        sources,
        given or options(),
        known_images=tmp_path / f"{known}.parquet",
        progress=no_progress,
        engine=LocalEngine(),
        processes=processes,
    )


def names(result: IngestResult) -> set[str]:
    return {Path(uri).name for uri in result.samples.column("uri").to_pylist()}


def test_each_record_of_the_dirty_pool_ends_where_it_belongs(tmp_path, dirty_pool):
    result = run(tmp_path, dirty_pool, processes=2)
    assert names(result) == set(GOOD)
    rows = result.quarantine.to_pylist()
    assert [(row["image"], row["reason"]) for row in rows[: len(BAD)]] == list(BAD.items())
    assert [row["reason"] for row in rows[len(BAD) :]] == [reason for _, reason in ODD_RECORDS]
    assert all(row["detail"] for row in rows)
    copy = next(row for row in rows if row["reason"] == "duplicate")
    assert copy["detail"].startswith(f"same bytes as {tmp_path}/images/plain.jpg,")


def test_a_record_without_an_id_is_a_further_record_of_its_image(tmp_path, dirty_pool):
    rows = run(tmp_path, dirty_pool).samples.to_pylist()
    plain = next(row for row in rows if row["uri"].endswith("/plain.jpg"))
    assert plain["record_ids"] == ["d0", "plain.jpg"]


def test_near_copies_are_reported_and_images_of_one_colour_are_not(tmp_path, dirty_pool):
    result = run(tmp_path, dirty_pool)
    near = {Path(row["uri"]).name: row["near_duplicate_of"] for row in result.samples.to_pylist()}
    shas = {Path(row["uri"]).name: row["image_sha"] for row in result.samples.to_pylist()}
    assert near.pop("near_copy_of_plain.jpg") == shas["plain.jpg"]
    assert set(near.values()) == {""}


def test_near_copies_are_quarantined_on_request(tmp_path, dirty_pool):
    result = run(tmp_path, dirty_pool, given=options(keep_near_duplicates=False))
    assert names(result) == set(GOOD) - {"near_copy_of_plain.jpg"}
    row = next(row for row in result.quarantine.to_pylist() if row["reason"] == "near_duplicate")
    assert row["image"] == "near_copy_of_plain.jpg"
    assert "/plain.jpg" in row["detail"]
    assert result.images.num_rows == result.samples.num_rows


def test_images_of_a_size_that_is_out_of_place_are_left_out_with_the_reason(tmp_path, dirty_pool):
    everything = run(tmp_path, dirty_pool)
    (plain,) = [row for row in everything.images.to_pylist() if row["uri"].endswith("/plain.jpg")]
    size = (plain["width"], plain["height"])
    asked = []

    def out_of_place(sizes):
        asked.append(sizes)
        return {size: BadImage(QuarantineReason.EXCEEDS_CONTEXT, "takes 5000 tokens")}

    result = ingest(
        [dirty_pool],
        options(),
        known_images=tmp_path / "known.parquet",
        progress=no_progress,
        engine=LocalEngine(),
        processes=0,
        out_of_place=out_of_place,
    )
    assert asked == [{(row["width"], row["height"]) for row in everything.images.to_pylist()}]
    of_size = {row["uri"] for row in everything.images.to_pylist() if (row["width"], row["height"]) == size}
    assert names(result) == names(everything) - {Path(uri).name for uri in of_size}
    left_out = [row for row in result.quarantine.to_pylist() if row["reason"] == "exceeds_context"]
    assert {row["detail"] for row in left_out} == {"takes 5000 tokens"}
    counted = {name: sum(result.records[name].to_pylist()) for name in ("records", "samples", "merged", "quarantined")}
    assert counted["records"] == counted["samples"] + counted["merged"] + counted["quarantined"]
    # What was known of an image stays known, for a model that can take it.
    assert run(tmp_path, dirty_pool).samples == everything.samples


def test_near_duplicates_turned_off_leave_no_hash(tmp_path, dirty_pool):
    run(tmp_path, dirty_pool)  # the hashes are known now
    result = run(tmp_path, dirty_pool, given=options(near_duplicate_bits=-1))
    assert set(result.images.column("perceptual_hash").to_pylist()) == {""}
    assert set(result.samples.column("near_duplicate_of").to_pylist()) == {""}


def test_the_result_depends_on_neither_processes_nor_what_was_known(tmp_path, dirty_pool):
    first = run(tmp_path, dirty_pool, known="one")
    for again in (
        run(tmp_path, dirty_pool, known="two", processes=2),
        run(tmp_path, dirty_pool, known="one"),
    ):
        assert again.images.equals(first.images)
        assert again.samples.equals(first.samples)
        assert again.quarantine.equals(first.quarantine)
    assert first.samples.column("sample_id").to_pylist() == sorted(first.samples.column("sample_id").to_pylist())


def test_images_carry_size_after_rotation_and_what_the_bytes_are(tmp_path, dirty_pool):
    rows = {Path(row["uri"]).name: row for row in run(tmp_path, dirty_pool).images.to_pylist()}
    rotated = rows["exif_rotated.jpg"]
    assert (rotated["width"], rotated["height"]) == (48, 64)
    assert (rows["wrong_ext_is_png.jpg"]["format"], rows["wrong_ext_is_png.jpg"]["mode"]) == ("PNG", "RGB")
    assert rows["gray16.png"]["mode"] == "I;16"
    assert rows["plain.jpg"]["size_bytes"] == (tmp_path / "images" / "plain.jpg").stat().st_size


def test_records_images_and_tasks_make_samples(tmp_path, write_pool: WritePool):
    (tmp_path / "images").mkdir()
    for number, name in enumerate(("a.png", "b.png", "c.png")):
        textured(number).save(tmp_path / "images" / name)
    (tmp_path / "images" / "copy_of_a.png").write_bytes((tmp_path / "images" / "a.png").read_bytes())
    first = write_pool(
        [
            {"id": "1", "image": "a.png", "task": "count"},
            {"id": "1", "image": "./a.png", "task": "count"},
            {"id": "2", "image": "a.png", "task": "count"},
            {"id": "1", "image": "b.png", "task": "read"},  # ids are apart between tasks
            {"id": "3", "image": "a.png", "task": "read"},
            {"id": "4", "image": "copy_of_a.png", "task": "count"},
            {"id": "5", "image": "copy_of_a.png", "task": "colour"},  # another task: a sample of its own
        ]
    )
    second = write_pool(
        [{"id": "1", "image": "a.png", "task": "count"}, {"id": "9", "image": "c.png", "task": "count"}], "grown.json"
    )
    result = run(tmp_path, first, second)
    found = {(row["task"], Path(row["uri"]).name): row for row in result.samples.to_pylist()}
    assert {key: row["record_ids"] for key, row in found.items()} == {
        ("count", "a.png"): ["1", "2"],
        ("count", "c.png"): ["9"],
        ("read", "b.png"): ["1"],
        ("read", "a.png"): ["3"],
        ("colour", "copy_of_a.png"): ["5"],
    }
    assert found["count", "a.png"]["source"] == str(tmp_path / "pool.json")
    assert found["count", "c.png"]["source"] == str(tmp_path / "grown.json")
    assert result.images.num_rows == 3
    assert [(row["record_id"], row["reason"]) for row in result.quarantine.to_pylist()] == [("4", "duplicate")]


def test_an_unchanged_file_is_not_read_again_and_a_changed_one_is(tmp_path, write_pool: WritePool):
    """Also one that has kept its size and had its time set back."""
    pool = write_pool([{"id": "a", "image": "a.png", "task": "t"}, {"id": "b", "image": "b.png", "task": "t"}])
    for number, name in enumerate(("a.png", "b.png")):
        textured(number).save(tmp_path / "images" / name)
    assert run(tmp_path, pool).read == 2
    again = run(tmp_path, pool)
    assert (again.read, again.images.num_rows) == (0, 2)
    status = (tmp_path / "images" / "a.png").stat()
    (tmp_path / "images" / "a.png").write_bytes(bytes(status.st_size))
    os.utime(tmp_path / "images" / "a.png", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert names(run(tmp_path, pool)) == {"b.png"}


def test_a_lower_limit_and_a_hash_wanted_later_count_for_known_images_too(tmp_path, write_pool: WritePool):
    pool = write_pool([{"id": "a", "image": "a.png", "task": "t"}, {"id": "b", "image": "b.png", "task": "t"}])
    textured(0, (64, 48)).save(tmp_path / "images" / "a.png")
    textured(1, (32, 24)).save(tmp_path / "images" / "b.png")
    run(tmp_path, pool, given=options(near_duplicate_bits=-1))
    result = run(tmp_path, pool, given=options(near_duplicate_bits=4, pixel_limit=1000))
    assert count_reasons(result.quarantine) == (ReasonCount("too_large", 1),)
    assert len(result.images.column("perceptual_hash").to_pylist()[0]) == 16


def test_an_unusable_file_of_known_images_is_replaced(tmp_path, write_pool: WritePool):
    pool = write_pool([{"id": "a", "image": "a.png", "task": "t"}])
    textured(0).save(tmp_path / "images" / "a.png")
    (tmp_path / "known.parquet").write_text("no Parquet")
    assert run(tmp_path, pool).samples.num_rows == 1
    assert (tmp_path / "known.parquet").read_bytes().startswith(b"PAR1")


def test_progress_counts_images_not_records(tmp_path, write_pool: WritePool):
    pool = write_pool([{"id": str(number), "image": f"{number % 40}.png", "task": "t"} for number in range(80)])
    for number in range(40):
        textured(number).save(tmp_path / "images" / f"{number}.png")
    calls: list[tuple[int, int]] = []
    ingest(
        [pool],
        options(),
        known_images=tmp_path / "known",
        progress=lambda done, total: calls.append((done, total)),
        engine=LocalEngine(),
    )
    assert calls == [(0, 40), (16, 40), (32, 40), (40, 40)]


def test_no_usable_record_is_one_error_that_counts_the_reasons(tmp_path, write_pool: WritePool):
    pool = write_pool([{"id": str(number), "image": f"{number}.jpg", "task": "t"} for number in range(3)] + ["x"])
    with pytest.raises(SourceError, match=r"none of the 4 records .*3 missing, 1 invalid_record.*no file .*0\.jpg"):
        run(tmp_path, pool)


def test_one_source_without_a_usable_record_is_a_warning(tmp_path, write_pool: WritePool, caplog):
    good = write_pool([{"id": "a", "image": "a.png", "task": "t"}])
    textured(0).save(tmp_path / "images" / "a.png")
    bad = write_pool([{"id": "b", "image": "b.png", "task": "t"}], "bad.json")
    assert run(tmp_path, good, bad).samples.num_rows == 1
    assert f"source {tmp_path / 'bad.json'}: none of its records is usable" in caplog.text


def test_a_wrong_image_root_is_named(tmp_path):
    (tmp_path / "pool.json").write_text(json.dumps([{"id": "a", "image": "a.png", "task": "t"}]))
    with pytest.raises(SourceError, match=r"image_root .*nowhere is not a folder"):
        run(tmp_path, source("llava_json", tmp_path / "pool.json", tmp_path / "nowhere"))


def test_images_of_all_kinds_of_places_are_one_pool(tmp_path, memory_url: str, write_pool: WritePool):
    textured(0).save(tmp_path / "a.png")
    textured(1).save(tmp_path / "b.png")
    with fsspec.open(f"{memory_url}/images/deep/a.png", "wb") as file:
        file.write((tmp_path / "a.png").read_bytes())
    with fsspec.open(f"{memory_url}/pool.jsonl", "wb") as file:
        file.write(b'{"id": "m", "image": "deep/a.png", "task": "t"}\n{"id": "n", "image": "a::b", "task": "t"}\n')
    remote = source("jsonl", f"{memory_url}/pool.jsonl", f"{memory_url}/images")
    local = source("llava_json", f"file://{tmp_path}/pool.json", f"file://{tmp_path}")
    write_pool([{"id": "l", "image": "b.png", "task": "t"}, {"id": "o", "image": "../o.png", "task": "t"}])
    result = run(tmp_path, remote, local)
    assert set(result.samples.column("uri").to_pylist()) == {
        f"{memory_url}/images/deep/a.png",
        f"file://{tmp_path}/b.png",
    }
    assert result.quarantine.column("reason").to_pylist() == ["outside_root", "outside_root"]


@pytest.mark.parametrize("kind", ["llava_json", "image_folder"])
def test_images_may_be_linked_into_further_roots_when_they_are_named(tmp_path, kind):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "images").mkdir()
    textured(1).save(tmp_path / "blobs" / "0abc", "PNG")
    (tmp_path / "images" / "a.png").symlink_to("../blobs/0abc")
    (tmp_path / "pool.json").write_text('[{"image": "a.png"}]')
    path = tmp_path / ("pool.json" if kind == "llava_json" else "images")
    linked = source(kind, path, tmp_path / "images", constant="t")
    with pytest.raises(
        SourceError, match=rf"leads to {tmp_path}/blobs/0abc; .* list its folder in sources.further_roots"
    ):
        run(tmp_path, linked)
    allowed = linked.model_copy(update={"further_roots": (str(tmp_path / "blobs"),)})
    assert run(tmp_path, allowed).samples.num_rows == 1
    elsewhere = linked.model_copy(update={"further_roots": (str(tmp_path / "images"),)})
    with pytest.raises(SourceError, match="outside_root"):  # what was found good is not good for other roots
        run(tmp_path, elsewhere)


def test_an_image_linked_to_itself_is_left_out(tmp_path, write_pool: WritePool):
    pool = write_pool([{"id": "a", "image": "a.png", "task": "t"}, {"id": "b", "image": "b.png", "task": "t"}])
    Image.new("RGB", (4, 4)).save(tmp_path / "images" / "a.png")
    (tmp_path / "images" / "b.png").symlink_to("b.png")
    result = run(tmp_path, pool)
    assert result.samples.num_rows == 1
    assert result.quarantine.num_rows == 1


def test_reasons_are_counted_most_frequent_first(tmp_path, dirty_pool):
    counts = count_reasons(run(tmp_path, dirty_pool).quarantine)
    assert counts[0] == ReasonCount("invalid_record", sum(reason == "invalid_record" for _, reason in ODD_RECORDS))
    assert [(-item.count, item.reason) for item in counts] == sorted((-item.count, item.reason) for item in counts)
