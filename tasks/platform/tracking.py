"""The MLflow server: who it is, whether it is there, and what its errors mean for a run."""

import hashlib
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from components.errors import UserError
from tasks.platform.workspace import STATE

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEFAULT_EXPERIMENT = "presel"
_ANSWER_SECONDS = 3
_LONGEST_METRIC_NAME = 250  # characters, MLflow's own limit
_DEFAULT_PORTS = {"http": 80, "https": 443}
_DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_DENIED = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED"})
_AWAY = frozenset(
    {
        "INTERNAL_ERROR",  # also what MLflow calls a connection that could not be made
        "TEMPORARILY_UNAVAILABLE",  # also a database that is locked
        "DEADLINE_EXCEEDED",
        "REQUEST_LIMIT_EXCEEDED",
        "RESOURCE_EXHAUSTED",
        "CANCELLED",
    }
)


class TrackingAwayError(UserError, RuntimeError):
    """MLflow does not answer; what it was to be told is kept and told later."""


class TrackingRefusedError(UserError, RuntimeError):
    """MLflow answers, and does not let this project in: a person has to change something."""


def tracking_client() -> "MlflowClient":
    """A client of the configured tracking server (`MLFLOW_TRACKING_URI`).

    Raises:
        TrackingAwayError: its database does not answer.
        TrackingRefusedError: MLflow cannot work with what is named.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import OperationalError, SQLAlchemyError

    try:
        return MlflowClient()
    except OperationalError as error:
        raise TrackingAwayError(_short(error)) from error
    except (MlflowException, SQLAlchemyError, ImportError, OSError) as error:
        raise TrackingRefusedError(
            f"MLflow cannot keep runs at {shown_address()} (MLFLOW_TRACKING_URI): name a server (http://HOST:PORT) or "
            f"a database (sqlite:///FILE), or unset it. It says: {_short(error)}"
        ) from error


def experiment_name() -> str:
    """Of all curation runs."""
    # MLflow's own variable; projects that share a server need one each, or they take each other's runs for theirs.
    return os.environ.get("MLFLOW_EXPERIMENT_NAME", DEFAULT_EXPERIMENT)


def server_name() -> str:
    """The configured server and its experiment, the same however the address is written: without credentials.

    The database in the project itself has the same name wherever the project lies.
    """
    address = os.environ["MLFLOW_TRACKING_URI"].strip()
    parts = urlsplit(address)
    if parts.hostname:
        port = "" if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f":{parts.port}"
        address = f"{parts.scheme}://{parts.hostname}{port}{parts.path.rstrip('/')}"
    address = address.replace(f"sqlite:///{Path.cwd()}{os.sep}", "sqlite:///")
    experiment = experiment_name()
    return address if experiment == DEFAULT_EXPERIMENT else f"{address} (experiment {experiment})"


def experiment_id(client: "MlflowClient") -> str:
    """The experiment of all curation runs, created on first use."""
    name = experiment_name()
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return str(experiment.experiment_id)
    embedded = os.environ["MLFLOW_TRACKING_URI"].startswith("sqlite:")
    # A database backend without a server would put artifacts beside the working directory.
    location = (Path.cwd() / STATE / "mlflow-artifacts").as_uri() if embedded else None
    # The kind decides which of MLflow's pages opens first: runs and metrics, not traces of agents.
    kind = {"mlflow.experimentKind": "custom_model_development"}
    return str(client.create_experiment(name, artifact_location=location, tags=kind))


def metric_name(name: str) -> str:
    """A name that MLflow takes: a task may have characters, a length and a path in its name that it refuses."""
    allowed = re.sub(r"[^\w./: -]", "_", name)
    path = "/".join("_" if part in ("", ".", "..") else part for part in allowed.split("/"))
    if len(path) <= _LONGEST_METRIC_NAME:
        return path
    digest = hashlib.sha256(name.encode("utf-8")).hexdigest()[:16]
    return f"{path[: _LONGEST_METRIC_NAME - len(digest)]}{digest}"


def shown_address() -> str:
    """The tracking server for a message: without a password."""
    address = os.environ["MLFLOW_TRACKING_URI"]
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else address


def check_answers() -> None:
    """Ask a tracking server or its database whether it is there, in seconds; MLflow itself would wait for minutes.

    Raises:
        TrackingAwayError: it is not.
    """
    address = os.environ["MLFLOW_TRACKING_URI"]
    if not address.startswith("http"):
        _check_database(address)
        return
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    with mlflow_errors():
        answer = http_request(
            get_default_host_creds(address),
            "/health",
            "GET",
            max_retries=0,
            timeout=_ANSWER_SECONDS,
            raise_on_status=False,
        )
    if answer.status_code >= 500:
        raise TrackingAwayError(f"it answers {answer.status_code}")


def _check_database(address: str) -> None:
    """Knock at a database server; a file has none, and MLflow itself says where a driver is missing."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        make_url(address).get_dialect().import_dbapi()
    except (SQLAlchemyError, ImportError):
        return
    parts = urlsplit(address)
    port = parts.port or _DATABASE_PORTS.get(parts.scheme.partition("+")[0])
    if not parts.hostname or port is None:
        return
    try:
        socket.create_connection((parts.hostname, port), timeout=_ANSWER_SECONDS).close()
    except OSError as error:
        raise TrackingAwayError(f"nobody answers at {parts.hostname} port {port}: {error}") from error


@contextmanager
def answering_tracking() -> Iterator[None]:
    """For a command that MLflow has to answer: what keeps it from that is said in words.

    Raises:
        TrackingAwayError: it does not answer.
        TrackingRefusedError: it does not let this project in, or is not MLflow.
    """
    try:
        with mlflow_errors():
            check_answers()
            yield
    except TrackingAwayError as error:
        raise TrackingAwayError(
            f"MLflow at {shown_address()} (MLFLOW_TRACKING_URI) does not answer: start it, or correct the address. "
            f"[{error}]"
        ) from error


@contextmanager
def mlflow_errors() -> Iterator[None]:
    """Tell the three kinds of failure apart.

    Raises:
        TrackingAwayError: MLflow, its database or its artifact store does not answer: it passes.
        TrackingRefusedError: the credentials are wrong, or what answers is not MLflow.
        mlflow.exceptions.MlflowException: anything else: MLflow does not accept what it was told.
    """
    from mlflow.exceptions import MlflowException
    from requests import HTTPError, RequestException

    try:
        yield
    except MlflowException as error:
        if error.error_code in _DENIED:
            raise _denied(error) from None
        if error.error_code == "ENDPOINT_NOT_FOUND":
            raise TrackingRefusedError(
                f"what answers at {shown_address()} is not MLflow: correct MLFLOW_TRACKING_URI. It says: "
                f"{_short(error)}"
            ) from None
        if error.error_code in _AWAY:
            raise TrackingAwayError(_short(error)) from error
        raise
    except HTTPError as error:  # of the artifact store
        status = 0 if error.response is None else error.response.status_code
        if status in {401, 403}:
            raise _denied(error) from None
        if 400 <= status < 500 and status not in {408, 429}:
            raise
        raise TrackingAwayError(_short(error)) from error
    except RequestException as error:
        raise TrackingAwayError(_short(error)) from error


def _denied(error: Exception) -> TrackingRefusedError:
    return TrackingRefusedError(
        f"MLflow at {shown_address()} refuses this project's credentials: set MLFLOW_TRACKING_USERNAME and "
        f"MLFLOW_TRACKING_PASSWORD (or MLFLOW_TRACKING_TOKEN) in the environment. It says: {_short(error)}"
    )


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:200]}..."
