"""Settings that all tests need before any library is imported, the order of the tests, and the rule about skips."""

import gc
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from tests.project_environment import project_environment

# The models of the tests are tiny: a second thread gains nothing, and threads that wait for each other on a busy
# machine cost a great deal.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # as `presel` sets it

# `make soak` asks for the thorough one. No deadlines: how long an example takes is the machine's business.
settings.register_profile("quick", max_examples=40, deadline=None)
settings.register_profile("thorough", max_examples=300, deadline=None)
settings.load_profile("quick")

# What a machine may lack. `.ci/run` installs PostgreSQL where it can.
_MAY_SKIP = {"gpu", "bfloat16", "postgresql", "browser", "mount"}
_unexpected: list[str] = []
_WORKERS_AT_MOST = 4  # of `make test`


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: a test waits a fifth of its time, for servers, locks and clocks."""
    return min(_WORKERS_AT_MOST, (os.cpu_count() or 1) + 1)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A temporary folder that all workers of the session share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Prefect server for all tests of a worker; what they run differs by project folder and run."""
    from prefect.testing.utilities import prefect_test_harness

    with ExitStack() as stack:
        with project_environment(tmp_path_factory.mktemp("prefect")):
            stack.enter_context(prefect_test_harness(server_startup_timeout=120))
        keep_what_is_imported()
        yield


def keep_what_is_imported() -> None:
    """Let the garbage collector pass over what is there now, which lives as long as the process.

    Libraries that collect garbage after every tune would go over all modules of the session each time.
    """
    gc.collect()
    gc.freeze()


def pytest_collection_finish() -> None:
    """All test modules are imported."""
    keep_what_is_imported()


@pytest.hookimpl(trylast=True)  # when what is not to run has been left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first, so that the last of several workers does not end with one of them.

    A file belongs to one worker (`--dist loadfile`), which makes its fixtures once.
    """
    seconds = dict.fromkeys((item.path for item in items), 0.0)
    waiting = set()
    for item in items:
        for mark in item.iter_markers("slow"):
            seconds[item.path] = max(seconds[item.path], 10.0, *mark.args)
        if "finished" in getattr(item, "fixturenames", ()):
            waiting.add(item.path)
    files = sorted(seconds, key=lambda file: -seconds[file])
    # The first to need the finished project makes it; the other workers begin with what does not wait for that.
    meanwhile = [file for file in files[1:] if file not in waiting][:_WORKERS_AT_MOST]
    place = {file: number for number, file in enumerate(dict.fromkeys([*files[:1], *meanwhile, *files]))}
    items.sort(key=lambda item: place[item.path])


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note every skip but those of tests that need what a machine may lack."""
    may_skip = _MAY_SKIP & set(report.keywords) or hasattr(report, "wasxfail")
    if report.skipped and not may_skip:
        _unexpected.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A test that is skipped for any other reason is a test that nobody runs: fail."""
    if _unexpected:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which."""
    for nodeid in _unexpected:
        terminalreporter.write_line(f"FAILED {nodeid} - skipped for no reason that is allowed", red=True)
