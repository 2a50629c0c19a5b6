"""A commit that a power cut or a full disk left half-written costs its own rows, never the table."""

import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.models.embedding.vector_store import image_vectors, read_vectors, stored_images
from components.models.lance_store import LanceStore

MODEL = "m"
TABLE = "vectors.lance"


def store(database: Path) -> LanceStore:
    return image_vectors(database, model=MODEL)


def repair(database: Path) -> None:
    with store(database).writing():
        pass


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
    store(database).append([f"{commit}-{row}" for row in range(4)], vectors)


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
def test_the_last_commit_is_taken_back(
    database: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    damage(database / TABLE)
    with pytest.raises((RuntimeError, ValueError)):
        stored_images(database, model=MODEL)
    repair(database)
    assert TABLE in caplog.text, "what is taken back is named"
    kept = set(stored_images(database, model=MODEL).to_pylist())
    assert kept == {f"{commit}-{row}" for commit in (0, 1) for row in range(4)}
    append(database, 2)
    expected = np.random.default_rng(2).normal(size=(4, 8)).astype(np.float32)
    assert np.array_equal(read_vectors(database, [f"2-{row}" for row in range(4)], model=MODEL), expected)
    before = contents(database)
    repair(database)
    assert contents(database) == before


def contents(database: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in database.rglob("*") if path.is_file()}


def test_two_commits_are_taken_back(database: Path) -> None:
    empty(MANIFEST)(database / TABLE)
    second = sorted((database / TABLE).glob(DATA), key=lambda path: path.stat().st_mtime_ns)[1]
    second.write_bytes(b"")
    repair(database)
    assert sorted(stored_images(database, model=MODEL).to_pylist()) == [f"0-{row}" for row in range(4)]


def test_data_without_a_manifest_are_as_if_never_written(database: Path) -> None:
    table = database / TABLE
    shutil.copy(newest(table, DATA), table / "data" / "orphan.lance")
    (table / "data" / "cut.lance").write_bytes(b"")
    before = contents(database)
    repair(database)
    assert contents(database) == before
    assert len(stored_images(database, model=MODEL)) == 12


def test_damage_in_the_first_commit_takes_the_later_ones_with_it(database: Path) -> None:
    table = database / TABLE
    first = min(table.glob(DATA), key=lambda path: path.stat().st_mtime_ns)
    first.write_bytes(b"")
    repair(database)
    assert not table.exists()
    (aside,) = database.glob(f"{TABLE}.damaged*")
    assert len(list(aside.glob(MANIFEST))) == 3, "nothing of it is deleted"
    append(database, 0)
    assert len(stored_images(database, model=MODEL)) == 4


def test_a_table_whose_manifests_are_all_cut_is_set_aside(database: Path) -> None:
    for manifest in (database / TABLE).glob(MANIFEST):
        manifest.write_bytes(b"")
    repair(database)
    assert len(stored_images(database, model=MODEL)) == 0
    append(database, 0)
    repair(database)
    assert len(stored_images(database, model=MODEL)) == 4


def test_what_was_taken_back_is_kept(database: Path) -> None:
    manifest = newest(database / TABLE, MANIFEST)
    half = manifest.read_bytes()[:100]
    manifest.write_bytes(half)
    repair(database)
    assert manifest.with_name(f"{manifest.name}.damaged").read_bytes() == half


@pytest.mark.parametrize("problem", ["Permission denied (os error 13)", "Too many open files (os error 24)"])
def test_a_file_that_cannot_be_opened_proves_nothing(
    database: Path, monkeypatch: pytest.MonkeyPatch, problem: str
) -> None:
    before = contents(database)
    error = RuntimeError(f"lance error: LanceError(IO): {problem}")
    monkeypatch.setattr("components.models.lance_recovery._problem", lambda _, *, key: error)
    with pytest.raises(RuntimeError, match=r"nothing was taken back: .*os error"):
        repair(database)
    monkeypatch.undo()
    assert contents(database) == before
    assert len(stored_images(database, model=MODEL)) == 12


def test_a_newer_format_proves_nothing(database: Path) -> None:
    manifest = newest(database / TABLE, MANIFEST)
    content = manifest.read_bytes()
    (start,) = struct.unpack("<Q", content[-16:-8])
    message = content[start + 4 : -16] + b"\x48\x80\x80\x40"  # reader_feature_flags, with one that nobody knows
    manifest.write_bytes(content[:start] + struct.pack("<I", len(message)) + message + content[-16:])
    before = contents(database)
    with pytest.raises(RuntimeError, match="nothing was taken back"):
        repair(database)
    assert contents(database) == before


WRITER = """
import sys
from pathlib import Path
import numpy as np
from components.models import lance_store
from components.models.embedding.vector_store import image_vectors

lance_store.FRAGMENTS_BEFORE_COMPACTION = 4
store = image_vectors(Path(sys.argv[1]), model="m")
with store.writing():
    begin = len(store.names())
    for start in range(begin, begin + 100_000, 50):
        store.append([str(row) for row in range(start, start + 50)], np.full((50, 64), start, np.float32))
        print(start + 50, flush=True)
        store.compact()
"""


def test_a_writer_that_is_killed_loses_no_commit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for _ in range(2):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
        )
        assert writer.stdout is not None
        said = writer.stdout.readline()
        time.sleep(rng.random() / 4)
        writer.send_signal(signal.SIGKILL)
        said += writer.stdout.read()
        writer.stdout.close()
        writer.wait()
        repair(tmp_path)
        kept = stored_images(tmp_path, model=MODEL).to_pylist()
        assert len(kept) >= max(int(line) for line in said.split())
        assert sorted(map(int, kept)) == list(range(len(kept)))
