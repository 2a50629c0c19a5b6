"""Files and directories are the old ones or the new ones, never something between."""

import errno
import json
import os
from pathlib import Path

import pyarrow as pa
import pytest

from components.storage import (
    DamagedFileError,
    copy_tree,
    fresh_directory,
    read_json,
    read_table,
    write_bytes,
    write_json,
    write_record,
    write_table,
)

SCHEMA = pa.schema([("name", pa.string()), ("count", pa.int64())])


def test_a_written_file_replaces_the_old_one_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_equal_values_are_equal_json(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"x": 1, "y": "é"})
    write_json(tmp_path / "b", {"y": "é", "x": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_table_comes_back_with_the_schemas_columns_in_order(tmp_path: Path) -> None:
    table = pa.table({"count": pa.array([1, 2], pa.int32()), "more": ["x", "y"], "name": ["a", "b"]})
    write_table(tmp_path / "t.parquet", table)
    assert read_table(tmp_path / "t.parquet", SCHEMA).to_pydict() == {"name": ["a", "b"], "count": [1, 2]}


def test_a_directory_of_tables_is_read_in_name_order(tmp_path: Path) -> None:
    for name, count in (("part-2", 2), ("part-1", 1)):
        write_table(tmp_path / f"{name}.parquet", pa.table([[name], [count]], schema=SCHEMA))
    assert read_table(tmp_path, SCHEMA)["count"].to_pylist() == [1, 2]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", pa.table({"name": ["a"]}))
    with pytest.raises(ValueError, match="count"):
        read_table(tmp_path / "t.parquet", SCHEMA)


def test_a_fresh_directory_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "artifact"
    for content in ("old", "new"):
        with fresh_directory(target) as directory:
            (directory / content).touch()
    assert [entry.name for entry in target.iterdir()] == ["new"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["artifact"]


def test_a_failed_block_leaves_the_old_directory(tmp_path: Path) -> None:
    target = tmp_path / "artifact"
    with fresh_directory(target) as directory:
        (directory / "old").touch()

    def fail_halfway() -> None:
        with fresh_directory(target) as directory:
            (directory / "new").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert [entry.name for entry in target.iterdir()] == ["old"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["artifact"]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".artifact.abc.partial").mkdir()
    (tmp_path / ".other.abc.partial").mkdir()
    with fresh_directory(tmp_path / "artifact"):
        pass
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".other.abc.partial", "artifact"]


def test_the_record_says_that_an_artifact_is_complete(tmp_path: Path) -> None:
    write_record(tmp_path, stage="embed", rows=3, schema_version=1)
    written = json.loads((tmp_path / "artifact.json").read_text(encoding="utf-8"))
    assert written == {"stage": "embed", "rows": 3, "schema_version": 1}


@pytest.mark.parametrize("refused", [None, errno.EXDEV])
def test_a_copied_folder_holds_files_where_the_other_holds_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: int | None
) -> None:
    """As where the cache lies on another disk, and what stages write is links into it."""
    cached, source, target = tmp_path / "cached", tmp_path / "source", tmp_path / "target"
    cached.write_bytes(b"weights")
    (source / "inner").mkdir(parents=True)
    (source / "inner" / "file").symlink_to(cached)
    target.mkdir()

    def refuse(*_: object) -> None:
        raise OSError(refused, "no link")

    if refused is not None:
        monkeypatch.setattr(os, "link", refuse)
    copy_tree(source, target)
    assert not (target / "inner" / "file").is_symlink()
    cached.unlink()
    assert (target / "inner" / "file").read_bytes() == b"weights"


def test_what_the_project_wrote_and_cannot_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    write_json(file, {"a": 1})
    assert read_json(file, advice="") == {"a": 1}
    table = tmp_path / "rows.parquet"
    schema = pa.schema([("a", pa.int64())])
    write_table(table, schema.empty_table())
    for content in (b"", b"garbage \xff\x00", file.read_bytes()[:-3]):
        file.write_bytes(content)
        with pytest.raises(DamagedFileError, match=r"state\.json is damaged .*; delete it"):
            read_json(file, advice="delete it")
        table.write_bytes(content)
        with pytest.raises(DamagedFileError, match=r"rows\.parquet is damaged"):
            read_table(table, schema)
    for path in (file, table):
        path.unlink()
    with pytest.raises(FileNotFoundError):
        read_json(file, advice="")
    with pytest.raises(FileNotFoundError):
        read_table(table, schema)
