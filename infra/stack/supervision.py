"""Supervisor (supervisord.org) keeps the stack's processes: starts them, writes their logs, starts again what ends."""

import configparser
import http.client
import os
import pwd
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import SupervisorTransport

from infra.stack import postgresql
from infra.stack.settings import StackError, StackSettings

# In the order of their start; they are stopped in the opposite one.
SERVICES = ("postgresql", "objects", "prefect", "mlflow", "worker")
_RUNNING = frozenset({"RUNNING", "STARTING"})
_GIVEN_UP = frozenset({"FATAL", "EXITED", "STOPPED", "UNKNOWN"})
_STARTUP_SECONDS = 20
_STOP_SECONDS = 90
_LOOK_SECONDS = 0.25
# Settings of other servers, or of this stack's clients, are not those of its servers.
_FOREIGN = ("PREFECT_", "MLFLOW_", "DVC_", "PG", "AWS_", "RCLONE_")


def services_of(settings: StackSettings) -> dict[str, str] | None:
    """The state of every service in Supervisor's words; None when no supervisor runs."""
    try:
        found: list[dict[str, Any]] = _supervisor(settings).getAllProcessInfo()
    except (OSError, http.client.HTTPException):
        return None
    return {one["name"]: one["statename"] for one in found}


def start_supervisor(settings: StackSettings) -> None:
    """Start the supervisor, which outlives the caller; none of the services yet.

    Raises:
        StackError: it does not come up.
    """
    configuration = settings.folder / "supervisor.conf"
    with configuration.open("w", encoding="utf-8") as file:
        _configuration(settings).write(file)
    command = [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(configuration)]
    done = subprocess.run(
        command, cwd=settings.project, env=service_environment(os.environ), capture_output=True, text=True, check=False
    )
    ends = time.monotonic() + _STARTUP_SECONDS
    while done.returncode == 0 and time.monotonic() < ends:
        if services_of(settings) is not None:
            return
        time.sleep(_LOOK_SECONDS)
    raise StackError(f"the supervisor did not start: {done.stderr.strip()} (log: {settings.logs}/supervisor.log)")


def start_service(settings: StackSettings, name: str) -> None:
    """Start one service, when it does not run; returns at once.

    Raises:
        StackError: it cannot be started.
    """
    supervisor = _supervisor(settings)
    if supervisor.getProcessInfo(name)["statename"] not in _RUNNING:
        try:
            supervisor.startProcess(name, False)
        except Fault as error:
            raise StackError(f"{name} cannot be started: {error.faultString}") from None


def await_service(settings: StackSettings, name: str, is_healthy: Callable[[], bool], *, seconds: float) -> None:
    """Wait until a service answers.

    Args:
        settings: the stack.
        name: one of `SERVICES`.
        is_healthy: asks it.
        seconds: how long to wait.

    Raises:
        StackError: it ends, or does not answer in time; the message holds the end of its log.
    """
    ends = time.monotonic() + seconds
    while not is_healthy():
        state = _supervisor(settings).getProcessInfo(name)["statename"]
        if state in _GIVEN_UP or time.monotonic() > ends:
            log = settings.logs / f"{name}.log"
            said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:] if log.exists() else []
            why = f"is {state}" if state in _GIVEN_UP else f"did not answer within {seconds:.0f} s"
            raise StackError("\n".join([f"{name} {why}; the end of {log}:", *(f"    {line}" for line in said)]))
        time.sleep(_LOOK_SECONDS)


def stop_supervisor(settings: StackSettings) -> None:
    """Stop every service, the last started first, and the supervisor; returns when all have ended.

    Raises:
        StackError: they do not end.
    """
    supervisor = _supervisor(settings)
    process = supervisor.getPID()
    supervisor.shutdown()
    ends = time.monotonic() + _STOP_SECONDS * len(SERVICES)
    while _is_alive(process):
        if time.monotonic() > ends:
            raise StackError(f"the supervisor (process {process}) does not end; see {settings.logs}/supervisor.log")
        time.sleep(_LOOK_SECONDS)


def service_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what is meant for clients or servers of the same kinds elsewhere."""
    return {name: value for name, value in environment.items() if not name.startswith(_FOREIGN)}


def _supervisor(settings: StackSettings) -> Any:
    transport = SupervisorTransport(None, None, f"unix://{settings.supervisor_socket}")
    return ServerProxy("http://127.0.0.1", transport=transport).supervisor


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def _configuration(settings: StackSettings) -> configparser.RawConfigParser:
    socket = str(settings.supervisor_socket)
    configuration = configparser.RawConfigParser()
    configuration["supervisord"] = {
        "logfile": str(settings.logs / "supervisor.log"),
        "pidfile": str(settings.folder / "supervisor.pid"),
        "childlogdir": str(settings.logs),
        "umask": "077",
        **({"user": pwd.getpwuid(0).pw_name} if os.getuid() == 0 else {}),
    }
    configuration["unix_http_server"] = {"file": socket, "chmod": "0700"}
    configuration["rpcinterface:supervisor"] = {
        "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
    }
    for priority, name in enumerate(SERVICES):
        configuration[f"program:{name}"] = {
            "priority": str(priority),
            "autostart": "false",
            "autorestart": "true",
            "startretries": "5",
            "directory": str(settings.project),
            "redirect_stderr": "true",
            "stdout_logfile": str(settings.logs / f"{name}.log"),
            "stdout_logfile_maxbytes": "10MB",
            "stdout_logfile_backups": "5",
            "stopwaitsecs": str(_STOP_SECONDS),
            **_command_of(settings, name),
        }
    # Supervisor reads % as the start of a name to fill in.
    for section in configuration.sections():
        for key, value in configuration[section].items():
            configuration[section][key] = value.replace("%", "%%")
    return configuration


def _command_of(settings: StackSettings, name: str) -> dict[str, str]:
    if name == "postgresql":
        user = postgresql.server_user()
        # SIGINT ends sessions and shuts down; SIGTERM would wait for every client to leave.
        values = {"command": shlex.join(postgresql.server_command(settings)), "stopsignal": "INT", "directory": "/"}
        return values | ({"user": user} if user else {})
    command = [sys.executable, "-m", "infra.stack.run_service", name]
    # Servers have children of their own; they get the signal too, and are killed when they stay.
    return {"command": shlex.join(command), "stopasgroup": "true", "killasgroup": "true"}
