"""What each service of the stack is: the command it runs, what it is told, and how to know that it works."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg

from infra.stack.client import client_environment
from infra.stack.passwords import Passwords
from infra.stack.postgresql import admin_connection
from infra.stack.settings import HOST, WORK_POOL, StackSettings

USER = "presel"
MLFLOW_BUCKET, DVC_BUCKET = "mlflow", "dvc"
WORKER = "local"
_MLFLOW_ACCOUNTS = Path(__file__).parents[1] / "mlflow-accounts.ini"
_BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Program:
    """A process to become.

    Attributes:
        command: program and arguments; never a secret, because everyone on the machine can read them.
        environment: what is added to the supervisor's environment; secrets are here.
    """

    command: tuple[str, ...]
    environment: dict[str, str]


def object_store(settings: StackSettings, passwords: Passwords) -> Program:
    """The S3 server of rclone: a bucket is a folder, an object a file, written under another name and renamed."""
    address = f"{HOST}:{settings.objects_port}"
    return Program(
        command=(
            str(_BIN / "rclone"),
            "serve",
            "s3",
            str(settings.objects),
            "--addr",
            address,
            "--log-level",
            "NOTICE",
        ),
        environment={"RCLONE_CONFIG": "/dev/null", "RCLONE_AUTH_KEY": f'"{USER},{passwords.objects}"'},
    )


def prefect_server(settings: StackSettings, passwords: Passwords) -> Program:
    """Prefect's API, pages and schedulers on PostgreSQL."""
    login = f"{USER}:{passwords.prefect}"
    database = f"prefect:{passwords.postgresql_prefect}@{HOST}:{settings.postgresql_port}/prefect"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", str(settings.prefect_port)]
    return Program(
        command=tuple(command),
        environment={
            "PREFECT_HOME": str(settings.folder / "prefect"),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{database}",
            "PREFECT_SERVER_API_AUTH_STRING": login,
            "PREFECT_API_AUTH_STRING": login,
            "PREFECT_SERVER_UI_API_URL": f"{settings.prefect_url}/api",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
            "DO_NOT_TRACK": "1",
        },
    )


def mlflow_server(settings: StackSettings, passwords: Passwords) -> Program:
    """MLflow on PostgreSQL, accounts on; artifacts go through it to the object store."""
    # Nothing in the URL: the PostgreSQL client reads PGHOST and its like, so no command line holds a password.
    database = "postgresql+psycopg://"
    command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "2"]
    command += ["--host", HOST, "--port", str(settings.mlflow_port), "--backend-store-uri", database]
    command += ["--serve-artifacts", "--artifacts-destination", f"s3://{MLFLOW_BUCKET}"]
    return Program(
        command=tuple(command),
        environment={
            "PGHOST": HOST,
            "PGPORT": str(settings.postgresql_port),
            "PGUSER": "mlflow",
            "PGDATABASE": "mlflow",
            "PGPASSWORD": passwords.postgresql_mlflow,
            "MLFLOW_AUTH_CONFIG_PATH": str(_MLFLOW_ACCOUNTS),
            "MLFLOW_AUTH_ADMIN_USERNAME": USER,
            "MLFLOW_AUTH_ADMIN_PASSWORD": passwords.mlflow,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": passwords.mlflow_forms,
            "MLFLOW_S3_ENDPOINT_URL": settings.objects_url,
            "AWS_ACCESS_KEY_ID": USER,
            "AWS_SECRET_ACCESS_KEY": passwords.objects,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # Background jobs serve the evaluation of text models, which nothing here uses.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
    )


def worker(settings: StackSettings, passwords: Passwords) -> Program:
    """A Prefect worker that runs deployed flows as processes in the checkout."""
    command = [sys.executable, "-m", "infra.prefect_in_project", "worker", "start", "--pool", WORK_POOL]
    command += ["--type", "process", "--name", WORKER, "--install-policy", "never"]
    environment = {**client_environment(settings, passwords), "PRESEL_PROJECT": str(settings.project)}
    return Program(command=tuple(command), environment=environment)


PROGRAMS: dict[str, Callable[[StackSettings, Passwords], Program]] = {
    "objects": object_store,
    "prefect": prefect_server,
    "mlflow": mlflow_server,
    "worker": worker,
}


def is_healthy(service: str, settings: StackSettings, passwords: Passwords) -> bool:
    """Whether a service answers."""
    try:
        if service == "postgresql":
            admin_connection(settings, passwords).close()
            return True
        if service == "worker":
            return _worker_is_online(settings, passwords)
        path = {"objects": settings.objects_url, "mlflow": f"{settings.mlflow_url}/health"}
        url = path.get(service, f"{settings.prefect_url}/api/ready")
        answer = httpx.get(url, timeout=5, trust_env=False)
    except (httpx.TransportError, psycopg.OperationalError):
        return False
    # The object store answers a request without a signature with 400, which is an answer.
    return answer.status_code == (400 if service == "objects" else 200)


def _worker_is_online(settings: StackSettings, passwords: Passwords) -> bool:
    url = f"{settings.prefect_url}/api/work_pools/{WORK_POOL}/workers/filter"
    answer = httpx.post(url, json={}, auth=(USER, passwords.prefect), timeout=5, trust_env=False)
    return answer.status_code == 200 and any(
        one["name"] == WORKER and one["status"] == "ONLINE" for one in answer.json()
    )
