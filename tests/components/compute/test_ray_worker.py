from pathlib import Path

import pytest

from components.compute import ray_worker
from components.compute.code_fingerprint import code_fingerprint
from components.compute.ray_worker import Place, WorkerPlaceError, enter


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_worker, "_entered", [])
    monkeypatch.chdir("/")


def test_a_worker_works_where_the_driver_does(tmp_path):
    (tmp_path / "images").mkdir()
    enter(Place(str(tmp_path), ("images", str(tmp_path / "images")), code_fingerprint()))
    assert Path.cwd() == tmp_path


def test_a_machine_without_the_storage_is_an_error_and_no_missing_images(tmp_path):
    with pytest.raises(WorkerPlaceError, match=r"has no images, /no/such/mount.*mount the shared storage"):
        enter(Place(str(tmp_path), ("images", "/no/such/mount"), code_fingerprint()))
    assert Path.cwd() == Path("/")


def test_a_machine_with_other_code_is_refused_as_its_results_would_be_kept_as_ours(tmp_path):
    with pytest.raises(WorkerPlaceError, match=r"another version of the project.*the same image"):
        enter(Place(str(tmp_path), (), "0" * 64))
