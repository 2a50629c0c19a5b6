"""What a user, a worker or a test needs to reach the stack: an environment file, a password file, a DVC remote."""

import shlex
from pathlib import Path

from infra.stack.passwords import Passwords, write_private
from infra.stack.settings import HOST, StackSettings

REMOTE = "stack"
_USER = "presel"


def client_environment(settings: StackSettings, passwords: Passwords) -> dict[str, str]:
    """The variables that point `presel`, `prefect` and `mlflow` at the stack."""
    return {
        "PREFECT_API_URL": f"{settings.prefect_url}/api",
        "PREFECT_API_AUTH_STRING": f"{_USER}:{passwords.prefect}",
        "MLFLOW_TRACKING_URI": settings.mlflow_url,
        "MLFLOW_TRACKING_USERNAME": _USER,
        "MLFLOW_TRACKING_PASSWORD": passwords.mlflow,
        "PGHOST": HOST,
        "PGPORT": str(settings.postgresql_port),
        "PGUSER": "ledger",
        "PGDATABASE": "ledger",
        "PGPASSFILE": str(_password_file(settings)),
    }


def environment_file(settings: StackSettings) -> Path:
    """The file to source."""
    return settings.folder / "client.env"


def write_client_files(settings: StackSettings, passwords: Passwords) -> None:
    """Write the environment file and what it and the DVC remote refer to; all of it for the owner's eyes."""
    folder = settings.folder / "client"
    folder.mkdir(mode=0o700, exist_ok=True)
    login = f"{HOST}:{settings.postgresql_port}:ledger:ledger:{passwords.postgresql_ledger}\n"
    write_private(_password_file(settings), login)
    # The store keeps the checksum of a whole object and returns it with each part, which clients then refuse. DVC
    # compares its own hashes.
    quiet = "request_checksum_calculation = when_required\nresponse_checksum_validation = when_required\n"
    write_private(folder / "s3-settings", f"[default]\n{quiet}")
    variables = client_environment(settings, passwords).items()
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables]
    write_private(environment_file(settings), "".join(lines))


def connect_dvc(settings: StackSettings, passwords: Passwords, bucket: str) -> bool:
    """Make the stack's bucket the checkout's DVC remote, in `.dvc/config.local`, which git ignores.

    Returns:
        False when the user has chosen another remote there, which is then left alone.
    """
    from dvc.config import Config

    dvc = settings.project / ".dvc"
    with Config(str(dvc)).edit("local") as local:
        if local.get("core", {}).get("remote", REMOTE) != REMOTE:
            return False
        local.setdefault("core", {})["remote"] = REMOTE
        local.setdefault("remote", {})[REMOTE] = {
            "url": f"s3://{bucket}",
            "endpointurl": settings.objects_url,
            "region": "us-east-1",
            "configpath": str(settings.folder / "client" / "s3-settings"),
            "access_key_id": _USER,
            "secret_access_key": passwords.objects,
        }
    (dvc / Config.CONFIG_LOCAL).chmod(0o600)
    return True


def disconnect_dvc(settings: StackSettings) -> None:
    """Give the checkout back the remote that `.dvc/config` names, when the stack's was in its place."""
    from dvc.config import Config

    with Config(str(settings.project / ".dvc")).edit("local") as local:
        if local.get("core", {}).get("remote") == REMOTE:
            del local["core"]["remote"]
            local["remote"].pop(REMOTE, None)


def _password_file(settings: StackSettings) -> Path:
    return settings.folder / "client" / "pgpass"
