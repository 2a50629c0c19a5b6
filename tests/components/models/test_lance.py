"""A commit that a power cut or a full disk left half-written costs its own rows, never the table."""

import errno
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.models.embedding.vector_store import TABLE_NAME, append_vectors, read_vectors, stored_images
from components.models.lance import remove_unborn, repair_tables

MODEL = "m"


def newest(table: Path, pattern: str) -> Path:
    return max(table.glob(pattern), key=lambda path: path.stat().st_mtime_ns)


def cut(pattern: str) -> Callable[[Path], None]:
    def damage(table: Path) -> None:
        path = newest(table, pattern)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return damage


def empty(pattern: str) -> Callable[[Path], None]:
    def damage(table: Path) -> None:
        newest(table, pattern).write_bytes(b"")

    return damage


def zeros(pattern: str) -> Callable[[Path], None]:
    def damage(table: Path) -> None:
        path = newest(table, pattern)
        path.write_bytes(bytes(path.stat().st_size))

    return damage


@pytest.fixture
def database(tmp_path: Path) -> Path:
    for commit in range(3):
        append(tmp_path, commit)
    return tmp_path


def append(database: Path, commit: int) -> None:
    vectors = np.random.default_rng(commit).normal(size=(4, 8)).astype(np.float32)
    append_vectors(database, [f"{commit}-{row}" for row in range(4)], vectors, model=MODEL)


MANIFEST, DATA = "_versions/*.manifest", "data/*.lance"
DAMAGES = {
    "manifest cut short": cut(MANIFEST),
    "manifest empty": empty(MANIFEST),
    "manifest of zeros": zeros(MANIFEST),
    "data cut short": cut(DATA),
    "data empty": empty(DATA),
    "data of zeros": zeros(DATA),
    "data gone": lambda table: newest(table, DATA).unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_the_last_commit_is_taken_back(database: Path, damage: Callable[[Path], None]) -> None:
    damage(database / f"{TABLE_NAME}.lance")
    with pytest.raises((RuntimeError, ValueError)):
        stored_images(database, model=MODEL)
    assert repair_tables(database, TABLE_NAME) == 1
    kept = set(stored_images(database, model=MODEL).to_pylist())
    assert kept == {f"{commit}-{row}" for commit in (0, 1) for row in range(4)}
    append(database, 2)
    expected = np.random.default_rng(2).normal(size=(4, 8)).astype(np.float32)
    assert np.array_equal(read_vectors(database, [f"2-{row}" for row in range(4)], model=MODEL), expected)
    assert repair_tables(database, TABLE_NAME) == 0


def test_data_without_a_manifest_are_as_if_never_written(database: Path) -> None:
    table = database / f"{TABLE_NAME}.lance"
    shutil.copy(newest(table, DATA), table / "data" / "orphan.lance")
    assert repair_tables(database, TABLE_NAME) == 0
    assert len(stored_images(database, model=MODEL)) == 12


def test_damage_in_an_early_commit_takes_the_later_ones_with_it(database: Path) -> None:
    table = database / f"{TABLE_NAME}.lance"
    first = min(table.glob(DATA), key=lambda path: path.stat().st_mtime_ns)
    first.write_bytes(b"")
    assert repair_tables(database, TABLE_NAME) == 3
    assert not table.exists()
    (aside,) = database.glob(f"{TABLE_NAME}.lance.damaged-*")
    assert len(list(aside.glob(MANIFEST))) == 3, "nothing of it is deleted"
    append(database, 0)
    assert len(stored_images(database, model=MODEL)) == 4


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    assert repair_tables(tmp_path / "nothing", TABLE_NAME) == 0


def test_what_was_taken_back_is_kept(database: Path) -> None:
    table = database / f"{TABLE_NAME}.lance"
    manifest = newest(table, MANIFEST)
    content = manifest.read_bytes()
    newest(table, DATA).write_bytes(b"")
    repair_tables(database, TABLE_NAME)
    assert (table / "_taken_back" / f"{manifest.name}.damaged").read_bytes() == content


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.EMFILE])
def test_a_file_that_cannot_be_opened_proves_nothing(
    database: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refused = newest(database / f"{TABLE_NAME}.lance", DATA)
    before = sorted(database.rglob("*"))
    opened = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == refused:
            raise OSError(number, os.strerror(number), str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(OSError, match=refused.name):
        repair_tables(database, TABLE_NAME)
    monkeypatch.undo()
    assert sorted(database.rglob("*")) == before
    assert len(stored_images(database, model=MODEL)) == 12


def test_a_newer_format_proves_nothing(database: Path) -> None:
    manifest = newest(database / f"{TABLE_NAME}.lance", MANIFEST)
    content = manifest.read_bytes()
    (start,) = struct.unpack("<Q", content[-16:-8])
    message = content[start + 4 : -16] + b"\x48\x80\x80\x40"  # reader_feature_flags, with one that nobody knows
    manifest.write_bytes(content[:start] + struct.pack("<I", len(message)) + message + content[-16:])
    before = sorted(database.rglob("*"))
    with pytest.raises(RuntimeError, match="nothing was taken back"):
        repair_tables(database, TABLE_NAME)
    assert sorted(database.rglob("*")) == before


def test_a_table_without_a_first_version_is_set_aside(database: Path) -> None:
    table = database / f"{TABLE_NAME}.lance"
    shutil.rmtree(table / "_versions")
    remove_unborn(database, TABLE_NAME)
    (aside,) = database.glob("*unborn*")
    assert not table.exists()
    assert len(list(aside.glob(DATA))) == 3
