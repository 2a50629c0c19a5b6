"""Settings that all tests need before any library is imported, the order of the tests, and the rule about skips."""

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

# `make soak` asks for the thorough one. No deadlines: how long an example takes is the machine's business.
settings.register_profile("quick", max_examples=40, deadline=None)
settings.register_profile("thorough", max_examples=300, deadline=None)
settings.load_profile("quick")

# What a machine may lack. `.ci/run` installs PostgreSQL where it can.
_MAY_SKIP = {"gpu", "bfloat16", "postgresql", "browser", "mount"}
_unexpected: list[str] = []


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
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first, so that the last of several workers does not end with one of them.

    A file belongs to one worker (`--dist loadfile`), which makes its fixtures once.
    """
    seconds: dict[Path, float] = {}
    for item in items:
        for mark in item.iter_markers("slow"):
            seconds[item.path] = max(seconds.get(item.path, 0.0), *mark.args, 10.0)
    items.sort(key=lambda item: -seconds.get(item.path, 0.0))


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
