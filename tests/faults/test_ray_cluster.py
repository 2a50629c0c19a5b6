"""Images embedded and scored on a Ray cluster of two machines on loopback: machines, workers, driver and head go."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from components.models.embedding.vector_store import encoder_fingerprint, image_vectors, read_vectors
from tests.components.models.embedding.conftest import noise_image, save_toy_encoder
from tests.faults.driver_on_ray import ROOT, embed_folder, score_folder
from tests.faults.laboratory import wait_until

pytestmark = pytest.mark.soak

IMAGES = 400
PATIENCE = 300.0  # seconds
ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, an encoder, and vectors and scores computed on this machine."""
    folder = tmp_path_factory.mktemp("pool")
    (folder / "images").mkdir()
    for index in range(IMAGES):
        noise_image(index).save(folder / "images" / f"{index:04}.png")
    save_toy_encoder(folder / "encoder", registers=0)
    embed_folder(folder, address=None)
    score_folder(folder, address=None)
    return folder


class TwoMachines:
    """A head and another machine, each with two CPUs, and a driver that computes with the pool on them."""

    def __init__(self, folder: Path, **system: object) -> None:
        from ray.cluster_utils import Cluster

        self.folder = folder
        self.cluster = Cluster()
        options: dict[str, Any] = {"num_cpus": 2, "object_store_memory": 200 << 20}
        self.head = self.cluster.add_node(include_dashboard=False, _system_config=system, **options)
        self.other = self.cluster.add_node(**options)
        self.log = folder / "driver.log"

    def start(self, work: str = "embed") -> subprocess.Popen[bytes]:
        """Start a driver that embeds or scores."""
        command = [sys.executable, "-m", "tests.faults.driver_on_ray", work, str(self.folder), self.cluster.address]
        with self.log.open("wb") as log:
            return subprocess.Popen(
                command, cwd=ROOT, env=os.environ | ENVIRONMENT, stdout=log, stderr=log, start_new_session=True
            )

    def done(self) -> int:
        """Images that the driver says are done."""
        lines = [line.split() for line in self.said().splitlines() if " of " in line and line[0].isdigit()]
        return int(lines[-1][0]) if lines else 0

    def until(self, driver: subprocess.Popen[bytes], images: int) -> None:
        """Wait until so many are done."""
        wait_until(lambda: self.done() >= images or driver.poll() is not None, "it never began")
        assert driver.poll() is None, self.said()

    def said(self) -> str:
        """What the driver has printed."""
        return self.log.read_text(encoding="utf-8")

    def workers(self, name: str) -> list[psutil.Process]:
        """The cluster's workers whose title holds a name."""
        found = []
        for process in psutil.process_iter(["cmdline", "status", "ppid"]):  # None, where it has just ended
            title = (process.info["cmdline"] or [""])[0]
            if name in title and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process)
        return [process for process in found if process.info["ppid"] in self._raylets()]

    def _raylets(self) -> set[int]:
        """So that workers of other clusters of the machine are left alone."""
        nodes = (self.head, self.other)
        return {one.process.pid for node in nodes for one in node.all_processes.get("raylet", ())}


@pytest.fixture
def machines(pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TwoMachines]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    for name in ("images", "encoder"):
        (tmp_path / name).symlink_to(pool / name)
    found = TwoMachines(tmp_path)
    yield found
    found.cluster.shutdown()


def finish(driver: subprocess.Popen[bytes]) -> int:
    try:
        return driver.wait(timeout=PATIENCE)
    finally:
        driver.kill()


def check_vectors(folder: Path, pool: Path) -> None:
    """Each image has one vector, the one that this machine gives."""
    model = encoder_fingerprint(str(folder / "encoder"), None, dtype="auto")
    local = encoder_fingerprint(str(pool / "encoder"), None, dtype="auto")
    names = image_vectors(folder / "ray", model=model).names().to_pylist()
    assert len(names) == len(set(names)) == IMAGES
    names.sort()
    expected = read_vectors(pool / "local", names, model=local)
    assert read_vectors(folder / "ray", names, model=model).tobytes() == expected.tobytes()


def test_a_machine_that_goes_costs_nothing_but_time(machines, pool):
    driver = machines.start()
    machines.until(driver, IMAGES // 4)
    machines.cluster.remove_node(machines.other, allow_graceful=False)
    assert finish(driver) == 0, machines.said()
    assert f"embedded {IMAGES}, reused 0, dropped 0" in machines.said()
    check_vectors(machines.folder, pool)


def test_a_machine_that_goes_in_the_middle_of_scores(machines, pool):
    driver = machines.start("score")
    machines.until(driver, IMAGES // 4)
    assert machines.done() < IMAGES, machines.said()
    machines.cluster.remove_node(machines.other, allow_graceful=False)
    assert finish(driver) == 0, machines.said()
    assert f"scored {IMAGES}, dropped 0" in machines.said()
    assert pq.read_table(machines.folder / "ray.parquet").equals(pq.read_table(pool / "local.parquet"))


def test_a_driver_that_is_killed_goes_on_when_it_is_started_again(machines, pool):
    driver = machines.start()
    machines.until(driver, IMAGES // 2)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    # Its workers end, so that the next finds room.
    wait_until(lambda: not machines.workers("ray::MapWorker"), "workers outlive their driver", seconds=60)
    assert finish(machines.start()) == 0, machines.said()
    said = machines.said()
    embedded, reused = (int(said.split(f"{word} ")[-1].split(",")[0]) for word in ("embedded", "reused"))
    assert embedded + reused == IMAGES
    check_vectors(machines.folder, pool)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])  # Ctrl-C; a run that is cancelled in Prefect
def test_a_driver_that_is_asked_to_end_frees_its_workers(machines, number):
    driver = machines.start()
    machines.until(driver, 1)
    os.kill(driver.pid, number)
    assert finish(driver) != 0
    wait_until(lambda: not machines.workers("ray::MapWorker"), "workers outlive their driver", seconds=60)


def test_a_worker_that_is_killed_costs_nothing_but_time(machines, pool):
    driver = machines.start()
    machines.until(driver, IMAGES // 4)
    for worker in machines.workers("ray::MapWorker"):
        worker.kill()
    assert finish(driver) == 0, machines.said()
    check_vectors(machines.folder, pool)


def test_memory_that_runs_out_ends_the_work_with_what_to_lower():
    used = psutil.virtual_memory()
    threshold = 1 - used.available / used.total + 0.07
    environment = {"RAY_memory_usage_threshold": f"{threshold:.3f}", "RAY_memory_monitor_refresh_ms": "100"}
    code = (
        "import os\n"
        "from components.compute.ray_engine import RayEngine\n"
        "from components.compute.ray_cluster import leave\n"
        "from tests.components.compute import toys\n"
        "from tests.components.compute.conftest import compute_parameters\n"
        "try:\n"
        "    list(RayEngine(compute_parameters()).compute([[1], [2]], toys.toy(prepare=toys.take_memory)))\n"
        "finally:\n"
        "    leave()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip
    said = done.stderr.splitlines()[-1]
    assert said.startswith("MemoryError: toy: a worker at or after number 1: Ray ended it"), done.stderr
    assert "use smaller toys" in said


def test_a_head_that_goes_ends_the_driver_with_what_to_do(machines):
    driver = machines.start()
    machines.until(driver, 1)
    machines.head.kill_all_processes(check_alive=False, allow_graceful=False)
    started = time.monotonic()
    assert finish(driver) != 0
    assert time.monotonic() - started < 120
    assert "run again" in machines.said()
