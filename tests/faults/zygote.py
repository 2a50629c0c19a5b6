"""Starts `presel` quickly and often: a process that has imported everything and forks itself for each command.

A child is a process like any other: it can be killed, and what it wrote stays. Requests come on standard input and
answers go to standard output, as lines of JSON.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

# What a run imports and takes long.
HEAVY = (
    "flows.command_line.main",
    "flows.curate",
    "components.models.training.tune",
    "components.models.vlm.generate",
    "dvc.repo",
    "mlflow.pyfunc",
)


def main() -> None:
    """Answer requests until standard input ends."""
    for name in HEAVY:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(_answer(request)), flush=True)  # noqa: T201 -- the answer


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    if request["do"] == "start":
        pid = os.fork()
        if pid == 0:
            _presel(request)
        return {"pid": pid}
    if request["do"] == "wait":
        _, status = os.waitpid(request["pid"], 0)
        return {"code": os.waitstatus_to_exitcode(status)}
    done = subprocess.run(request["command"], capture_output=True, text=True, check=False)
    return {"code": done.returncode, "output": done.stdout + done.stderr}


def _presel(request: dict[str, Any]) -> NoReturn:
    """`presel ARGUMENTS` in the child."""
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.setsid()
    os.environ.update(request["environment"])
    if request["kill"]:
        _kill_at(*request["kill"])
    from flows.command_line.main import main as presel

    sys.argv = ["presel", *request["arguments"]]
    code: object = 0
    try:
        presel()
    except SystemExit as leave:
        code = leave.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def _kill_at(stage: str, moment: str) -> None:
    """End this process with SIGKILL when a stage comes to a moment of its work."""
    stages: Any = importlib.import_module("tasks.platform.stage")

    def die(name: str) -> None:
        if name == stage:
            os.kill(os.getpid(), signal.SIGKILL)

    execute, write_record, commit = stages.StageTask._execute, stages.write_record, stages.commit_stage

    def execute_or_die(self: Any, prepared: Any) -> Any:
        die(prepared.name)
        return execute(self, prepared)

    def write_record_or_die(directory: Path, **named: Any) -> Any:
        die(named["stage"])
        return write_record(directory, **named)

    def commit_or_die(workspace: Any, name: str, *rest: Any) -> Any:
        die(name)
        return commit(workspace, name, *rest)

    if moment == "begins":
        stages.StageTask._execute = execute_or_die
    elif moment == "has written":
        stages.write_record = write_record_or_die
    else:
        stages.commit_stage = commit_or_die
