"""What stages say that they write, held against what is free: a run that would fit is never refused."""

import os
from pathlib import Path

import pyarrow as pa
import pytest

from components.models.training.adapter_size import adapter_bytes
from components.parameters.reading import merge_overlays, parse_parameters
from components.plan.disk_space import FileSystem
from tasks.platform.disk_space import disk_shortage, file_system
from tasks.platform.workspace import Workspace
from tests.imports_of import ROOT

SAMPLES, WIDTH = 1000, 250
WRITTEN = SAMPLES * WIDTH * 4  # 1 MB
SURE = WRITTEN * 9 // 10
PLACE = Workspace(".")
CACHE = Path(".dvc/cache/files/md5")


@pytest.fixture
def shortage(two_stages: Path):
    """What is said of the gradients of a pool, by the bytes that are free; the same or another one for the cache."""
    values = merge_overlays(Path("params.yaml"), settings=["strategy=tive", f"tive.projection={WIDTH}"])
    parameters = parse_parameters(values, origin="test")
    samples = pa.table({"sample_id": [str(number) for number in range(SAMPLES)]})

    def say(free, in_cache=None, outdated=("gradients",)):
        def locate(folder):
            is_cache = in_cache is not None and ".dvc" in folder.parts
            return FileSystem(int(is_cache), in_cache if is_cache else free)

        return disk_shortage(PLACE, parameters, samples, outdated, locate=locate)

    return say


def hold(file: Path, size: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x" * size)


def link(kind: str) -> None:
    Path(".dvc/config.local").write_text(f"[cache]\n    type = {kind}\n", encoding="utf-8")


def test_where_dvc_copies_both_copies_count(shortage):
    link("copy")
    assert shortage(2 * SURE) == ""
    said = shortage(2 * SURE - 1)
    assert said.startswith("what the stages that would run write to data and ")
    assert "takes 1.8 MB at least, and 1.8 MB are free there. Free space where the project" in said
    assert shortage(SURE, SURE) == ""
    assert "write to data takes" in shortage(SURE - 1, SURE)
    assert "md5 takes" in shortage(SURE, SURE - 1)


def test_where_dvc_links_there_is_one(shortage):
    link("hardlink")
    assert shortage(SURE) == ""
    assert "write to data takes 900.0 kB at least" in shortage(SURE - 1)


def test_what_does_not_run_does_not_count(shortage):
    assert shortage(0, outdated=()) == ""
    assert shortage(0, outdated=("ingest", "benchmark@random")) == ""


@pytest.mark.parametrize("kind", ["copy", "hardlink"])
def test_what_the_cache_holds_may_be_what_is_wanted(shortage, kind):
    link(kind)
    hold(CACHE / "00" / "11", SURE)
    assert shortage(SURE) == ""
    assert (shortage(0) == "") is (kind == "hardlink"), "a copy of it takes its place in any case"


def test_what_is_written_already_or_replaced_does_not_count(shortage):
    link("hardlink")
    hold(Path(".presel/scratch/.project/gradients-0/table"), SURE // 2)
    hold(Path("data/gradients/table"), SURE // 2)
    assert shortage(0) == ""
    hold(Path(".presel/scratch/another/gradients-0/table"), SURE)
    Path("data/gradients/table").unlink()
    assert shortage(SURE // 2) == ""
    assert shortage(SURE // 2 - 1)


def test_a_folder_that_is_not_there_yet_lies_where_it_will(tmp_path):
    status = os.statvfs(tmp_path)
    found = file_system(tmp_path / "runs" / "new" / "data")
    assert found.number == tmp_path.stat().st_dev
    assert found.free is not None
    assert 0 < found.free <= status.f_blocks * status.f_frsize


def test_adapters_and_checkpoints_count(two_stages):
    link("hardlink")
    settings = ["budget=50%", "tuning.batch_size=8", "tuning.gradient_accumulation=1", "final_tune.epochs=1"]
    settings.append(f"vlm.model={ROOT / 'demo' / 'models' / 'tiny-llava'}")
    values = merge_overlays(Path("params.yaml"), settings=[*settings, "tuning.checkpoint_every=10"])
    parameters = parse_parameters(values, origin="test")
    samples = pa.table({"sample_id": [str(number) for number in range(SAMPLES)]})
    adapter = adapter_bytes(parameters.vlm, parameters.tuning)

    def say(free, *outdated, parameters=parameters):
        return disk_shortage(PLACE, parameters, samples, outdated, locate=lambda _: FileSystem(0, free))

    def fits(free, *outdated, parameters=parameters):
        return [bool(say(int(0.9 * free) + change, *outdated, parameters=parameters)) for change in (-2, 2)]

    assert fits(adapter, "reference_tune") == [True, False]
    assert fits(2 * adapter + 2 * 3 * adapter, "reference_tune", "tune") == [True, False]
    values = merge_overlays(Path("params.yaml"), settings=[*settings, "tuning.checkpoint_every=63"])
    rarely = parse_parameters(values, origin="test")  # of 62 updates: no checkpoint is written
    assert fits(adapter, "tune", parameters=rarely) == [True, False]


def test_nothing_is_left_behind(shortage):
    shortage(0)
    assert not list(Path("data").glob("[!i]*"))
    assert not [file for file in CACHE.rglob("*") if file.is_file()]
