"""The Ray engine against the local one, on one small instance. All tests that use it are in this file: a worker of the
test session has it to itself."""

import hashlib
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from components.compute.ahead import WorkerDiedError
from components.compute.local import LocalEngine
from components.compute.progress import no_progress
from components.compute.ray_cluster import ClusterError, join
from components.compute.ray_engine import RayEngine
from components.models.embedding.embed import embed_images
from components.models.embedding.vector_store import encoder_fingerprint, read_vectors
from components.parameters.compute import DecodeWorkers, ModelWorkers, TaskWorkers
from components.parameters.parameters import EncoderParameters
from components.pool.ingest import ingest
from tests.components.compute import toys
from tests.components.compute.conftest import compute_parameters
from tests.components.models.embedding.conftest import noise_image, save_toy_encoder
from tests.components.pool.conftest import options, write_dirty_pool

pytestmark = pytest.mark.slow(40)

LISTS = [list(range(start, start + 4)) for start in range(0, 24, 4)]


@pytest.fixture
def plain_encoder(tmp_path) -> Path:
    return save_toy_encoder(tmp_path / "encoder", registers=0)


def make_pool(folder: Path, count: int) -> tuple[list[str], list[str]]:
    folder.mkdir()
    paths = [folder / f"{index:02}.png" for index in range(count)]
    for index, path in enumerate(paths):
        noise_image(index).save(path)
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths], [str(path) for path in paths]


def answers(found) -> list[tuple[tuple[int, ...], list[int], tuple[tuple[int, str], ...]]]:
    return sorted((tuple(answer.items), answer.result, answer.lost) for answer in found)


def test_workers_that_are_given_one_list_after_the_other(ray_engine):
    with ray_engine.pool(toys.loaded, toys.die_of_13_computing, name="toy") as pool:
        futures = [pool.submit(items) for items in ([1, 2], [169], [3])]
        assert [futures[number].result() for number in (0, 2)] == [[1001, 1002], [1003]]
        with pytest.raises(WorkerDiedError, match="toy: a worker died, 3 times out of 3"):
            futures[1].result()
    with (
        ray_engine.pool(toys.refuse_loading, toys.add, name="toy") as pool,
        pytest.raises(FileNotFoundError, match=r"toy\.safetensors"),
    ):
        pool.submit([1]).result()


def test_everything_listens_on_loopback_alone(ray_engine):
    join(ray_engine.parameters)
    listening = []
    for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):  # a worker of a test before ends
            connections = process.net_connections(kind="inet")
            listening += [one.laddr for one in connections if one.status == psutil.CONN_LISTEN]
    assert len(listening) > 3
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}


def test_an_item_that_ends_whatever_prepares_it_is_lost_alone_and_a_worker_that_dies_once_costs_nothing(
    ray_engine, tmp_path
):
    work = toys.toy(prepare=partial(toys.die_of_13_and_once, folder=str(tmp_path)))
    found = answers(ray_engine.compute(LISTS, work))
    without = [[item for item in items if item != 13] for items in LISTS]
    expected = answers(LocalEngine().compute(without, toys.toy()))
    assert [(items, result) for items, result, _ in found] == [(items, result) for items, result, _ in expected]
    ((lost, why),) = [one for _, _, lost in found for one in lost]
    assert lost == 13
    assert "died" in why
    assert (tmp_path / "died").exists()


def test_errors_arrive_as_themselves(ray_engine):
    with pytest.raises(FileNotFoundError, match="no such model") as caught:
        list(ray_engine.compute(LISTS[:2], toys.toy(load=toys.refuse_loading)))
    assert type(caught.value) is FileNotFoundError
    assert any("in a worker" in note for note in caught.value.__notes__)


def test_large_items_come_back_in_order_and_travel_as_they_are(ray_engine):
    items = [(np.full(1000 * size, size), False) for size in (5, 1, 4, 2)]
    found = list(ray_engine.each(iter(items), partial(toys.sum_of, factor=2), name="sum"))
    assert found == [(2 * 1000 * size * size, True) for size in (5, 1, 4, 2)]
    with pytest.raises(MemoryError, match="no room"):
        list(ray_engine.each([(np.ones(2), True)], partial(toys.sum_of, factor=2), name="sum"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"model": ModelWorkers(cpus=1, gpus=1, workers="auto")},
            r"takes 1 CPUs and 1 GPUs: the most that one has",
        ),
        ({"model": ModelWorkers(cpus=1, gpus=0, workers=500)}, r"compute.model.workers is 500"),
        ({"decode": DecodeWorkers(cpus=500, workers="auto", images=1)}, r"compute.decode, which takes 500 CPUs"),
    ],
    ids=["no GPU", "no room beside the models", "no machine so large"],
)
def test_what_a_cluster_does_not_have_is_refused_before_anything_waits(ray_engine, changes, said):
    engine = RayEngine(compute_parameters(**changes))
    with pytest.raises(ClusterError, match=said):
        list(engine.compute(LISTS, toys.toy()))
    with pytest.raises(ClusterError, match=r"compute.task"):
        list(RayEngine(compute_parameters(task=TaskWorkers(cpus=500))).each([1], toys.double, name="double"))


def test_embedding_gives_the_same_vectors_and_the_same_drops(ray_engine, tmp_path, plain_encoder):
    shas, uris = make_pool(tmp_path / "images", 11)
    Path(uris[3]).write_bytes(b"no image")
    encoder = EncoderParameters(model=str(plain_encoder), revision=None, batch_size=4, device="cpu", dtype="auto")
    found = {}
    for name, engine in (("local", LocalEngine()), ("ray", ray_engine)):
        told: list[tuple[int, int]] = []
        result = embed_images(
            shas,
            uris,
            tmp_path / name,
            encoder=encoder,
            pixel_limit=10**6,
            progress=lambda done, total, told=told: told.append((done, total)),
            engine=engine,
        )
        model = encoder_fingerprint(encoder.model, None, dtype="auto")
        found[name] = (result, read_vectors(tmp_path / name, shas[:3], model=model).tobytes())
        assert told[-1] == (11, 11)
    assert found["ray"] == found["local"]
    assert [item.reason for item in found["ray"][0].dropped] == ["changed"]


def test_ingesting_gives_the_same_tables(ray_engine, tmp_path):
    pool = write_dirty_pool(tmp_path)
    local, ray = (
        ingest(
            [pool],
            options(),
            known_images=tmp_path / f"{name}.parquet",
            progress=no_progress,
            engine=engine,
        )
        for name, engine in (("local", LocalEngine()), ("ray", ray_engine))
    )
    for table in ("images", "samples", "quarantine", "records"):
        assert getattr(ray, table).equals(getattr(local, table)), table
    assert ray.read == local.read
