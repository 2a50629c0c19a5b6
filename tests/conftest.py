"""Settings that all tests need before any library is imported, and the rule about skipped tests."""

import os

import pytest

# The models of the tests are tiny: a second thread gains nothing, and threads that wait for each other on a busy
# machine cost a great deal.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# What a machine may lack. `.ci/run` installs PostgreSQL where it can.
_MAY_SKIP = {"gpu", "bfloat16", "postgresql", "browser", "mount"}
_unexpected: list[str] = []


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
