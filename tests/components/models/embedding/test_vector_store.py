import hashlib
import shutil
from pathlib import Path

import lancedb
import numpy as np
import pytest

from components.models import lance_store
from components.models.embedding.vector_store import encoder_fingerprint, image_vectors, read_vectors, stored_images


def shas(count: int, *, start: int = 0) -> list[str]:
    return [hashlib.sha256(str(index).encode()).hexdigest() for index in range(start, start + count)]


def vectors(count: int, dimension: int = 8, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)


def files_and_times(directory: Path) -> dict[str, tuple[bytes, int]]:
    found = [path for path in directory.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def test_vectors_come_back_in_the_order_asked(tmp_path: Path):
    names, values = shas(1000), vectors(1000)
    image_vectors(tmp_path, model="m").append(names[:300], values[:300])
    image_vectors(tmp_path, model="m").append(names[300:], values[300:])
    order = np.random.default_rng(1).permutation(1000)[:700]
    read = read_vectors(tmp_path, [names[index] for index in order], model="m")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, values[order])


def test_an_image_may_be_asked_for_twice(tmp_path: Path):
    names, values = shas(3), vectors(3)
    image_vectors(tmp_path, model="m").append(names, values)
    read = read_vectors(tmp_path, [names[2], names[0], names[2]], model="m")
    np.testing.assert_array_equal(read, values[[2, 0, 2]])


def test_blocks_smaller_than_the_table_give_the_same(tmp_path: Path, monkeypatch):
    names, values = shas(500), vectors(500)
    for start in range(0, 500, 100):
        image_vectors(tmp_path, model="m").append(names[start : start + 100], values[start : start + 100])
    monkeypatch.setattr(lance_store, "BYTES_PER_BLOCK", 130 * 8 * 4)
    np.testing.assert_array_equal(read_vectors(tmp_path, names[::-1], model="m"), values[::-1])


def test_missing_images_are_named(tmp_path: Path):
    names = shas(4)
    image_vectors(tmp_path, model="m").append(names[:2], vectors(2))
    with pytest.raises(ValueError, match=rf"2 of 4 images have no vector of m.*{names[2]}"):
        read_vectors(tmp_path, names, model="m")
    with pytest.raises(ValueError, match="2 of 2 images have no vector of other"):
        read_vectors(tmp_path, names[:2], model="other")
    with pytest.raises(ValueError, match="4 of 4 images"):
        read_vectors(tmp_path / "nowhere", names, model="m")


def test_encoders_do_not_mix(tmp_path: Path):
    names, values = shas(5), vectors(5)
    image_vectors(tmp_path, model="it's").append(names, values)
    image_vectors(tmp_path, model="m").append(names, values + 1)
    image_vectors(tmp_path, model="large").append(names, vectors(5, 16))
    np.testing.assert_array_equal(read_vectors(tmp_path, names, model="it's"), values)
    np.testing.assert_array_equal(read_vectors(tmp_path, names, model="m"), values + 1)
    np.testing.assert_array_equal(read_vectors(tmp_path, names, model="large"), vectors(5, 16))
    assert sorted(stored_images(tmp_path, model="large").to_pylist()) == sorted(names)
    assert lancedb.connect(tmp_path).list_tables().tables == ["vectors", "vectors_16"]


def test_the_table_has_a_primary_key_and_fixed_size_vectors(tmp_path: Path):
    image_vectors(tmp_path, model="m").append(shas(2), vectors(2))
    schema = lancedb.connect(tmp_path).open_table("vectors").schema
    assert str(schema.field("vector").type) == "fixed_size_list<item: float>[8]"
    keys = [field.name for field in schema if b"lance-schema:unenforced-primary-key" in (field.metadata or {})]
    assert keys == ["image_sha", "model"]


def test_two_vectors_of_one_image_are_an_error(tmp_path: Path):
    image_vectors(tmp_path, model="m").append(shas(3), vectors(3))
    image_vectors(tmp_path, model="m").append(shas(1, start=2), vectors(1))
    with pytest.raises(RuntimeError, match="1 rows are there twice"):
        stored_images(tmp_path, model="m")
    assert len(stored_images(tmp_path, model="other")) == 0


def test_reading_touches_nothing(tmp_path: Path):
    image_vectors(tmp_path, model="m").append(shas(10), vectors(10))
    before = files_and_times(tmp_path)
    read_vectors(tmp_path, shas(10), model="m")
    stored_images(tmp_path, model="m")
    image_vectors(tmp_path, model="m").compact()  # few fragments: left alone
    assert files_and_times(tmp_path) == before


def test_many_fragments_become_few_and_keep_their_rows(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(lance_store, "FRAGMENTS_BEFORE_COMPACTION", 5)
    names, values = shas(60), vectors(60)
    for start in range(0, 60, 10):
        image_vectors(tmp_path, model="m").append(names[start : start + 10], values[start : start + 10])
    image_vectors(tmp_path, model="m").compact()
    assert len(list(tmp_path.rglob("*.lance"))) <= 3  # the table's folder and its data
    np.testing.assert_array_equal(read_vectors(tmp_path, names, model="m"), values)


def test_a_second_writer_is_refused(tmp_path: Path):
    store = image_vectors(tmp_path, model="m")
    second = store.writing()
    with store.writing(), pytest.raises(RuntimeError, match="another process writes"), second:
        pass
    with store.writing():
        pass


def test_a_folder_is_known_by_what_it_computes(plain_encoder_folder: Path, tmp_path: Path):
    fingerprint = encoder_fingerprint(str(plain_encoder_folder), None, dtype="float32")
    moved = shutil.copytree(plain_encoder_folder, tmp_path / "moved")
    (moved / "README.md").write_text("not part of it")
    assert encoder_fingerprint(str(moved), None, dtype="float32") == fingerprint
    for name in ("config.json", "preprocessor_config.json", "model.safetensors"):
        changed = shutil.copytree(plain_encoder_folder, tmp_path / name)
        (changed / name).write_bytes((changed / name).read_bytes() + b" ")
        assert encoder_fingerprint(str(changed), None, dtype="float32") != fingerprint


def test_a_hub_model_is_known_by_its_revision(tmp_path: Path):
    assert encoder_fingerprint("facebook/dinov2-base", "abc", dtype="float32") == "facebook/dinov2-base@abc:float32:v1"
    with pytest.raises(ValueError, match="revision is null: give the git revision"):
        encoder_fingerprint("facebook/dinov2-base", None, dtype="float32")
    with pytest.raises(ValueError, match=r"needs config\.json"):
        encoder_fingerprint(str(tmp_path), None, dtype="float32")


def test_a_table_whose_writer_was_killed_at_birth_is_made_again(tmp_path: Path):
    image_vectors(tmp_path, model="m").append(shas(2), vectors(2))
    shutil.rmtree(tmp_path / "vectors.lance" / "_versions")  # what is there before the first commit
    assert len(stored_images(tmp_path, model="m")) == 0
    image_vectors(tmp_path, model="m").append(shas(3), vectors(3))
    assert len(stored_images(tmp_path, model="m")) == 3
