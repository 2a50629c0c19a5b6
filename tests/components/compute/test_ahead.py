import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from components.compute.ahead import WorkerDiedError, ahead


def describe(item: int) -> str:
    return f"<{item}>"


def square_slow_at_first(item: int) -> int:
    time.sleep(0.0 if item else 0.3)
    return item * item


def die_at_seven(item: int) -> int:
    if item == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def fail_at_seven(item: int) -> int:
    if item == 7:
        raise ValueError("seven")
    return item


def leave_mark(item: int, *, folder: Path) -> int:
    (folder / str(item)).touch()
    return item


@pytest.mark.parametrize("processes", [0, 2])
def test_results_come_in_the_order_of_the_items(processes: int) -> None:
    assert list(ahead(range(7), square_slow_at_first, processes=processes)) == [0, 1, 4, 9, 16, 25, 36]
    assert list(ahead([], square_slow_at_first, processes=processes)) == []


@pytest.mark.parametrize("processes", [0, 2])
def test_an_exception_of_the_work_reaches_whoever_takes_the_result(processes: int) -> None:
    results = ahead(range(100), fail_at_seven, processes=processes)
    assert [next(results) for _ in range(7)] == list(range(7))
    with pytest.raises(ValueError, match="seven"):
        next(results)


@pytest.mark.parametrize("processes", [0, 2])
def test_few_items_are_in_flight(tmp_path: Path, processes: int) -> None:
    results = ahead(range(1000), partial(leave_mark, folder=tmp_path), processes=processes)
    assert [next(results), next(results)] == [0, 1]
    time.sleep(0.3)
    assert len(list(tmp_path.iterdir())) <= (7 if processes else 4)
    results.close()  # type: ignore[attr-defined]  # it is a generator


def test_without_processes_one_other_thread_works() -> None:
    threads = set(ahead(range(5), lambda _: threading.get_ident()))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_a_killed_worker_is_an_error_that_names_the_items_in_work() -> None:
    with pytest.raises(WorkerDiedError, match=r"want of memory.*from <\d+> to <\d+>; lower it") as caught:
        list(ahead(range(100), die_at_seven, processes=2, describe=describe, advice="lower it"))
    first, last = (int(part.split(">")[0]) for part in str(caught.value).split("<")[1:])
    assert first <= 7 <= last


_PARENT = """
import sys
from components.compute.ahead import ahead
from tests.components.compute.test_ahead import note_and_sleep
if __name__ == "__main__":
    list(ahead([sys.argv[1]] * 2, note_and_sleep, processes=2))
"""


def note_and_sleep(folder: str) -> None:
    Path(folder, str(os.getpid())).touch()
    time.sleep(60)


def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    (tmp_path / "parent.py").write_text(_PARENT)
    (tmp_path / "marks").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    parent = subprocess.Popen([sys.executable, str(tmp_path / "parent.py"), str(tmp_path / "marks")], env=environment)
    wait_for(lambda: len(list((tmp_path / "marks").iterdir())) == 2)
    workers = [int(mark.name) for mark in (tmp_path / "marks").iterdir()]
    parent.kill()
    parent.wait()
    wait_for(lambda: not any(is_running(worker) for worker in workers))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
