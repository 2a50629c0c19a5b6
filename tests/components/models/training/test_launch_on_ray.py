"""A tune on a Ray cluster of two machines with one CPU each, both on the loopback address."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from components.compute.ahead import WorkerDiedError
from components.compute.ray_engine import RayEngine
from components.compute.ray_worker import WorkerPlaceError
from components.models.training.training_log import TrainingLogRow
from components.parameters.reading import load_parameters
from tests.components.models.training.runs import assert_same_adapter, run, vlm_parameters
from tests.components.models.vlm.samples import draw_samples

pytestmark = pytest.mark.soak
SETTINGS: dict[str, Any] = {"batch_size": 8, "gradient_accumulation": 2, "checkpoint_every": 2, "epochs": 3}
ROOT = Path(__file__).resolve().parents[4]


@pytest.fixture(scope="module")
def two_machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in (
            ("ENABLE_WINDOWS_OR_OSX_CLUSTER", "0"),
            ("USAGE_STATS_ENABLED", "0"),
            ("AUTH_MODE", "token"),
        ):
            environment.setenv(f"RAY_{name}", value)
        import ray
        from ray.cluster_utils import Cluster

        cluster = Cluster()
        for _ in range(2):
            cluster.add_node(num_cpus=1, include_dashboard=False, object_store_memory=200 << 20)
        ray.init(cluster.address, log_to_driver=False, configure_logging=False, logging_level=logging.ERROR)
        yield ray
        ray.shutdown()
        cluster.shutdown()


def test_two_machines_continue_after_a_death_and_give_the_adapter_of_one_process(
    toy_llava: Path, tmp_path: Path, two_machines
):
    cluster = RayEngine(load_parameters(ROOT / "params.yaml").compute)
    shared: dict[str, Any] = SETTINGS | {"processes": 2, "cluster": cluster}
    samples, vlm = draw_samples(tmp_path, 22, seed=3), vlm_parameters(toy_llava)
    run(samples, tmp_path / "one", vlm=vlm, **SETTINGS)

    def kill_one(row: TrainingLogRow) -> None:
        if row.step == 3:
            members = [one for one in psutil.Process().children(recursive=True) if "_Process" in one.cmdline()[0]]
            assert len(members) == 2
            members[-1].kill()

    with pytest.raises(WorkerDiedError, match="one of the 2 processes that share the tune on the Ray cluster died"):
        run(samples, tmp_path / "two", vlm=vlm, on_log=kill_one, **shared)
    rows: list[TrainingLogRow] = []
    result = run(samples, tmp_path / "two", vlm=vlm, on_log=rows.append, **shared)
    assert (result.updates, [row.step for row in rows]) == (6, [1, 2, 3, 4, 5, 6])
    assert result.resumed_at in (2, 4)  # the processes go on while the row is on its way
    assert_same_adapter(tmp_path / "one", tmp_path / "two", tolerance=1e-5)
    deadline = time.monotonic() + 60
    while two_machines.available_resources().get("CPU") != 2.0:
        assert time.monotonic() < deadline, "the processes are still there"
        time.sleep(0.2)

    with pytest.raises(ValueError, match=r"tuning.target_modules \['nowhere'\]"):
        run(samples, tmp_path / "wrong", vlm=vlm, target_modules=["nowhere"], **shared)


def test_a_machine_that_lacks_what_is_read_from_trains_on_nothing(toy_llava: Path, tmp_path: Path, two_machines):
    cluster = RayEngine(load_parameters(ROOT / "params.yaml").compute, folders=("/no/such/mount",))
    samples, vlm = draw_samples(tmp_path, 4, seed=3), vlm_parameters(toy_llava)
    with pytest.raises(WorkerPlaceError, match=r"/no/such/mount.*mount the shared storage"):
        run(samples, tmp_path / "out", vlm=vlm, **SETTINGS, processes=2, cluster=cluster)
