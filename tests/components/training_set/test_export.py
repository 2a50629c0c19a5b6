import hashlib
import json
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.output_folder import OutputFolderError
from components.schemas import TRAINING_SAMPLES
from components.training_set.export import ExportError, export_samples


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    root = tmp_path / "pool"
    root.mkdir()
    Image.new("RGB", (4, 4), "red").save(root / "a.png")
    Image.new("RGB", (4, 4), "blue").save(root / "b.dat", format="JPEG")
    return root


@pytest.fixture
def table(pool: Path) -> pa.Table:
    rows = [
        {
            "sample_id": f"t/{path.stem}",
            "task": "t",
            "image_sha": hashlib.sha256(path.read_bytes()).hexdigest(),
            "uri": str(path),
            "origin": "selection",
            "copies": 1,
            "turns": [{"question": "q", "response": "r"}],
        }
        for path in sorted(pool.iterdir())
    ]
    return pa.Table.from_pylist(rows, schema=TRAINING_SAMPLES)


def images_of(file: Path) -> list[str]:
    if file.suffix == ".parquet":
        return [row["images"][0] for row in pq.read_table(file).to_pylist()]
    return [record.get("image") or record["images"][0] for record in json.loads(file.read_text())]


@pytest.mark.parametrize("layout", ["llava", "sharegpt", "messages"])
def test_copied_images_travel_with_the_export(table, tmp_path, layout):
    file = export_samples(table, tmp_path / "out", layout=layout, copy_images=PurePosixPath("images"))
    moved = tmp_path / "elsewhere"
    (tmp_path / "out").rename(moved)
    paths = images_of(moved / file.name)
    assert [Path(path).suffix for path in paths] == [".png", ".jpg"]  # by content, not by name
    shas = [hashlib.sha256((moved / path).read_bytes()).hexdigest() for path in paths]
    assert shas == table["image_sha"].to_pylist()


def test_absolute_paths_open_from_anywhere(table, tmp_path, monkeypatch, pool):
    monkeypatch.chdir(tmp_path)
    uris = pa.array([f"pool/{Path(uri).name}" for uri in table["uri"].to_pylist()])
    relative = table.set_column(table.schema.get_field_index("uri"), "uri", uris)
    file = export_samples(relative, tmp_path / "out", layout="llava")
    assert images_of(file) == [str(pool / "a.png"), str(pool / "b.dat")]


def test_paths_relative_to_a_folder(table, tmp_path, pool):
    file = export_samples(table, tmp_path / "out", layout="llava", relative_to=pool)
    assert images_of(file) == ["a.png", "b.dat"]
    with pytest.raises(ExportError, match="does not lie in"):
        export_samples(table, tmp_path / "two", layout="llava", relative_to=tmp_path / "out")
    assert not (tmp_path / "two").exists()


def test_sharegpt(table, tmp_path):
    file = export_samples(table, tmp_path / "out", layout="sharegpt")
    record = json.loads(file.read_text())[0]
    assert record["conversations"] == [{"from": "human", "value": "<image>q"}, {"from": "gpt", "value": "r"}]
    described = json.loads((tmp_path / "out" / "dataset_info.json").read_text())["presel"]
    assert described["file_name"] == file.name
    assert set(described["columns"].values()) <= set(record)


def test_a_folder_with_something_in_it_is_not_touched_unless_allowed(table, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(OutputFolderError, match="not empty"):
        export_samples(table, out, layout="llava")
    assert [path.name for path in out.iterdir()] == ["mine.txt"]
    export_samples(table, out, layout="llava", overwrite=True)
    assert (out / "mine.txt").read_text() == "mine"


def test_a_changed_or_missing_image_is_an_error(table, tmp_path, pool):
    (pool / "a.png").write_bytes((pool / "b.dat").read_bytes())
    with pytest.raises(ExportError, match="has changed"):
        export_samples(table, tmp_path / "one", layout="llava", copy_images=PurePosixPath("images"))
    (pool / "a.png").unlink()
    with pytest.raises(ExportError, match=r"'t/a'"):
        export_samples(table, tmp_path / "two", layout="llava", copy_images=PurePosixPath("images"))


@pytest.mark.parametrize("folder", ["/images", "../images", "a/../../b"])
def test_images_are_copied_nowhere_else(table, tmp_path, folder):
    with pytest.raises(ExportError, match="inside the export"):
        export_samples(table, tmp_path / "out", layout="llava", copy_images=PurePosixPath(folder))


def test_both_options_at_once_are_refused(table, tmp_path):
    with pytest.raises(ExportError, match="not both"):
        export_samples(table, tmp_path / "o", layout="llava", relative_to=tmp_path, copy_images=PurePosixPath("i"))


def test_an_image_in_a_tar_file_needs_copying(table, tmp_path, pool):
    shard = tmp_path / "shard.tar"
    data = (pool / "a.png").read_bytes()
    shard.write_bytes(b"x" * 10 + data)
    uris = pa.array([f"tar-member:10+{len(data)}@{shard}", table["uri"][1].as_py()])
    inside = table.set_column(table.schema.get_field_index("uri"), "uri", uris)
    with pytest.raises(ExportError, match="inside a tar file"):
        export_samples(inside, tmp_path / "one", layout="llava")
    file = export_samples(inside, tmp_path / "two", layout="llava", copy_images=PurePosixPath("images"))
    assert (file.parent / images_of(file)[0]).read_bytes() == data


def test_samples_without_instructions_can_be_records_alone(table, tmp_path):
    chosen = pa.Table.from_pylist([{**table.to_pylist()[1], "turns": []}], schema=table.schema)
    record = json.loads(export_samples(chosen, tmp_path / "one", layout="llava").read_text())
    assert [set(one) for one in record] == [{"id", "image", "task"}]
    with pytest.raises(ExportError, match="1 samples have no instruction"):
        export_samples(chosen, tmp_path / "two", layout="messages")
