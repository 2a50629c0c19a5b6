import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from components.selection import flat_index
from components.selection.clustering import k_means
from components.selection.flat_index import lloyd, nearest
from tests.imports_of import ROOT, imported_names, python_files

NO_FAISS = 'raise ModuleNotFoundError("No module named \'faiss\'", name="faiss")'


def vectors_of(count: int, width: int, *, seed: int) -> NDArray[np.float32]:
    drawn: NDArray[np.float32] = np.random.default_rng(seed).standard_normal((count, width), dtype=np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return drawn


def test_nearest_is_exact_in_either_metric() -> None:
    queries, vectors = vectors_of(50, 16, seed=0), vectors_of(30, 16, seed=1)
    products = queries.astype(np.float64) @ vectors.T
    values, rows = nearest(queries, vectors, 3, metric="inner product")
    assert (rows == np.argsort(-products, axis=1)[:, :3]).all()
    assert values == pytest.approx(-np.sort(-products, axis=1)[:, :3], abs=1e-6)
    values, rows = nearest(queries, vectors, 3, metric="squared distance")
    assert (rows == np.argsort(-products, axis=1)[:, :3]).all()  # unit vectors have the same order
    assert values == pytest.approx(2 - 2 * -np.sort(-products, axis=1)[:, :3], abs=1e-5)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = faiss.omp_get_max_threads()
    yield faiss.omp_set_num_threads
    faiss.omp_set_num_threads(before)


def test_any_number_of_threads_gives_the_same(threads: Callable[[int], None]) -> None:
    points = vectors_of(9_000, 256, seed=3)
    found = []
    for count in (1, 3):
        threads(count)
        values, rows = nearest(points, points[:200], 2, metric="squared distance")
        clusters = k_means(points, 110, seed=4)
        found.append([array.tobytes() for array in (values, rows, clusters.labels, clusters.centroids)])
    assert found[0] == found[1]


def test_lloyd_begins_where_it_is_told_and_ends_at_the_means() -> None:
    points = np.array([[0], [1], [10], [11]], dtype=np.float32)
    start = np.array([[10], [0]], dtype=np.float32)
    assert lloyd(points, 2, iterations=10, start=start).tolist() == [[10.5], [0.5]]
    drawn = vectors_of(100, 8, seed=2)
    found = [lloyd(drawn, 5, iterations=3, start=seed) for seed in (1, 1, 2)]
    assert (found[0] == found[1]).all()
    assert (found[0] != found[2]).any()
    unit = lloyd(drawn, 5, iterations=3, start=1, spherical=True)
    assert np.linalg.norm(unit, axis=1) == pytest.approx(np.ones(5))


def test_everything_that_uses_faiss_goes_through_here() -> None:
    files = [path for package in ("components", "tasks", "flows") for path in python_files(package)]
    users = [path for path in files if "faiss" in imported_names(path)]
    assert users == [Path("components/selection/flat_index.py")]


def test_an_environment_without_faiss_ends_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "faiss.py").write_text(NO_FAISS)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = ['presel', 'run']\n"
    code += "from flows.command_line.main import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("presel: faiss is not installed")
    assert '".[cpu]", or ".[gpu]"' in sentence


@pytest.mark.gpu
@pytest.mark.skipif(not faiss.get_num_gpus(), reason="needs a GPU and faiss-gpu")
def test_gpus_find_what_the_cpu_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    points = vectors_of(20_000, 64, seed=3)
    on_cpu = k_means(points, 150, seed=0)
    neighbours = nearest(points, points[:500], 5, metric="inner product")
    monkeypatch.setattr(flat_index, "WORTH_A_GPU", 0)
    on_gpus = k_means(points, 150, seed=0)
    assert on_gpus.inertia == pytest.approx(on_cpu.inertia, rel=0.01)
    values, rows = nearest(points, points[:500], 5, metric="inner product")
    assert values == pytest.approx(neighbours[0], abs=1e-5)
    assert (rows == neighbours[1]).mean() > 0.999
