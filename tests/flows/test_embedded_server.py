"""Which of the servers without a parent a run ends: those whose run was killed, and no other."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from flows import embedded_server
from flows.embedded_server import SERVER_MODULE, STARTER_VARIABLE, end_orphaned_servers, name_server_after_this_process

_SERVE = "import time; time.sleep(60)"


def started_by(starter: int, home: Path) -> psutil.Process:
    """A process that is called as the server is, started for `starter`, whose parent is process 1."""
    done = subprocess.run(
        ["sh", "-c", '"$@" >&- 2>&- & echo $!', "sh", sys.executable, "-c", _SERVE, SERVER_MODULE],
        env={**os.environ, STARTER_VARIABLE: str(starter), "PREFECT_HOME": str(home)},
        capture_output=True,
        check=True,
    )
    return psutil.Process(int(done.stdout.split()[0]))


def test_a_server_belongs_to_the_run_that_started_it_though_process_1_is_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    monkeypatch.setenv(STARTER_VARIABLE, "")
    name_server_after_this_process()
    assert os.environ[STARTER_VARIABLE] == str(os.getpid())
    servers = [started_by(os.getpid(), tmp_path), started_by(gone.pid, tmp_path), started_by(gone.pid, tmp_path / "x")]
    try:
        for server in servers:
            while SERVER_MODULE not in server.cmdline():  # not started yet
                time.sleep(0.01)
        assert {server.ppid() for server in servers} == {1}
        assert end_orphaned_servers(str(tmp_path)) == 1
        psutil.wait_procs(servers[1:2], timeout=10)
        assert [server.is_running() and server.status() != "zombie" for server in servers] == [True, False, True]
    finally:
        for server in servers:
            if server.is_running():
                server.kill()


@pytest.mark.parametrize("number", embedded_server._ENDING)
@pytest.mark.parametrize("ignored", [True, False])
def test_every_signal_that_ends_a_run_ends_it_unless_it_was_to_be_ignored(number: int, ignored: bool) -> None:
    program = """import os, signal, sys, time
number, ignored = int(sys.argv[1]), sys.argv[2] == "True"
signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL)
from flows.embedded_server import end_on_signals
end_on_signals()
try:
    os.kill(os.getpid(), number)
    time.sleep(0.2)
finally:
    print("settled")
"""
    arguments = [sys.executable, "-c", program, str(int(number)), str(ignored)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.stdout == "settled\n"
    assert done.returncode == (0 if ignored else 128 + number)
    assert ("interrupted, ending" in done.stderr) is not ignored


def test_a_terminal_that_is_gone_does_not_keep_a_run_from_ending() -> None:
    program = """import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever the tests are started with
from flows.embedded_server import end_on_signals, leave_if_interrupted
end_on_signals()
sys.stderr = open("/dev/full", "w", buffering=1)
try:
    os.kill(os.getpid(), signal.SIGHUP)
    signal.pause()
finally:
    leave_if_interrupted()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, timeout=30)
    assert done.returncode == 128 + signal.SIGHUP
