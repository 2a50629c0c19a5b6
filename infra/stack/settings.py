"""Where the stack lives and which ports it takes."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
WORK_POOL = "presel"
# The longest path of a Unix socket that every system allows.
_SOCKET_PATH_BYTES = 100

_PORTS = {
    "postgresql": ("PRESEL_STACK_POSTGRESQL_PORT", 5433),
    "objects": ("PRESEL_STACK_OBJECTS_PORT", 9000),
    "prefect": ("PRESEL_STACK_PREFECT_PORT", 4200),
    "mlflow": ("PRESEL_STACK_MLFLOW_PORT", 5000),
}


class StackError(RuntimeError):
    """The stack cannot do what was asked; the message says what to do."""


@dataclass(frozen=True, slots=True)
class StackSettings:
    """One stack.

    Attributes:
        project: the checkout that its worker runs flows of.
        folder: where all of it is kept: databases, objects, secrets, logs.
        postgresql_port: on the loopback address, as all others.
        objects_port: of the S3 interface.
        prefect_port: of Prefect's API and pages.
        mlflow_port: of MLflow's API and pages.
    """

    project: Path
    folder: Path
    postgresql_port: int
    objects_port: int
    prefect_port: int
    mlflow_port: int

    @property
    def prefect_url(self) -> str:
        """Prefect's pages; the API is below `/api`."""
        return f"http://{HOST}:{self.prefect_port}"

    @property
    def mlflow_url(self) -> str:
        """MLflow's pages and API."""
        return f"http://{HOST}:{self.mlflow_port}"

    @property
    def objects_url(self) -> str:
        """The S3 endpoint."""
        return f"http://{HOST}:{self.objects_port}"

    @property
    def objects(self) -> Path:
        """One folder per bucket."""
        return self.folder / "objects"

    @property
    def logs(self) -> Path:
        """One file per service."""
        return self.folder / "logs"

    @property
    def supervisor_socket(self) -> Path:
        """Where the supervisor listens."""
        return self.folder / "supervisor.sock"


def settings_from_environment(project: Path) -> StackSettings:
    """The stack of a checkout; `PRESEL_STACK_FOLDER` and `PRESEL_STACK_*_PORT` say what differs from the defaults.

    Raises:
        StackError: a port is none, two are the same, or the folder's path is too long.
    """
    ports = {name: _port(variable, default) for name, (variable, default) in _PORTS.items()}
    if len(set(ports.values())) < len(ports):
        raise StackError(f"two services would have the same port: {ports}; change one of the PRESEL_STACK_*_PORT")
    folder = Path(os.environ.get("PRESEL_STACK_FOLDER") or project / ".presel" / "stack").absolute()
    settings = StackSettings(
        project=project,
        folder=folder,
        postgresql_port=ports["postgresql"],
        objects_port=ports["objects"],
        prefect_port=ports["prefect"],
        mlflow_port=ports["mlflow"],
    )
    if len(os.fsencode(settings.supervisor_socket)) > _SOCKET_PATH_BYTES:
        raise StackError(
            f"the path of {folder} is too long for a socket (at most {_SOCKET_PATH_BYTES} bytes with its name); "
            "set PRESEL_STACK_FOLDER to a shorter one"
        )
    return settings


def check_port(service: str, port: int) -> None:
    """Make sure that nobody else listens on a service's port.

    Raises:
        StackError: somebody does.
    """
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, port))
        except OSError as error:
            variable = _PORTS[service][0]
            raise StackError(
                f"port {port} of {service} cannot be used ({error.strerror}); end what listens there "
                f"(`ss -ltnp 'sport = :{port}'` names it) or set {variable} to a free port"
            ) from None


def _port(variable: str, default: int) -> int:
    text = os.environ.get(variable) or str(default)
    if not text.isdecimal() or not 1024 <= int(text) <= 65535:
        raise StackError(f"{variable} is {text!r}; allowed is a port from 1024 to 65535")
    return int(text)
