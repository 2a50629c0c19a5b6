import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from components.pool.worker_pool import WorkerDiedError, map_in_processes


def describe(item: int) -> str:
    return f"<{item}>"


def slow_at_first(piece: Sequence[int]) -> list[int]:
    time.sleep(0.3 if 0 in piece else 0)
    return [item * item for item in piece]


def die_at_seven(piece: Sequence[int]) -> list[int]:
    if 7 in piece:
        os.kill(os.getpid(), signal.SIGKILL)
    return list(piece)


def fail_at_seven(piece: Sequence[int]) -> list[int]:
    if 7 in piece:
        raise ValueError("seven")
    return list(piece)


def leave_mark(piece: Sequence[int], *, folder: Path) -> list[int]:
    for item in piece:
        (folder / str(item)).touch()
    return list(piece)


def test_results_come_in_the_order_of_the_work():
    pieces = list(map_in_processes(slow_at_first, range(10), processes=2, piece=3, describe=describe))
    assert pieces == [[0, 1, 4], [9, 16, 25], [36, 49, 64], [81]]


def test_one_process_is_this_one():
    assert list(map_in_processes(slow_at_first, range(3), processes=1, piece=2, describe=describe)) == [[0, 1], [4]]


def test_no_work_needs_no_process():
    assert list(map_in_processes(slow_at_first, [], processes=2, piece=3, describe=describe)) == []


def test_a_killed_worker_is_an_error_that_names_the_items_in_work():
    with pytest.raises(WorkerDiedError, match=r"want of memory.*from <\d+> to <\d+>") as caught:
        list(map_in_processes(die_at_seven, range(100), processes=2, piece=2, describe=describe))
    first, last = (int(part.split(">")[0]) for part in str(caught.value).split("<")[1:])
    assert first <= 7 <= last


def test_an_exception_of_the_function_is_passed_on():
    with pytest.raises(ValueError, match="seven"):
        list(map_in_processes(fail_at_seven, range(100), processes=2, piece=2, describe=describe))


def test_few_pieces_are_in_flight(tmp_path: Path):
    pieces = map_in_processes(
        partial(leave_mark, folder=tmp_path), range(1000), processes=2, piece=1, describe=describe
    )
    next(pieces)
    time.sleep(0.3)
    assert len(list(tmp_path.iterdir())) <= 6
    pieces.close()  # type: ignore[attr-defined]  # it is a generator


_PARENT = """
import os, sys, time
from pathlib import Path
from components.pool.worker_pool import map_in_processes
from tests.components.pool.test_worker_pool import describe, note_and_sleep
if __name__ == "__main__":
    list(map_in_processes(note_and_sleep, [sys.argv[1]] * 2, processes=2, piece=1, describe=str))
"""


def note_and_sleep(piece: Sequence[str]) -> list[str]:
    Path(piece[0], str(os.getpid())).touch()
    time.sleep(60)
    return list(piece)


def test_workers_do_not_outlive_a_killed_parent(tmp_path: Path):
    (tmp_path / "parent.py").write_text(_PARENT)
    (tmp_path / "marks").mkdir()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    parent = subprocess.Popen([sys.executable, str(tmp_path / "parent.py"), str(tmp_path / "marks")], env=environment)
    wait_for(lambda: len(list((tmp_path / "marks").iterdir())) == 2)
    workers = [int(mark.name) for mark in (tmp_path / "marks").iterdir()]
    parent.kill()
    parent.wait()
    wait_for(lambda: not any(is_running(worker) for worker in workers))


def wait_for(condition) -> None:
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
