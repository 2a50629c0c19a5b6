"""Where every tool keeps its state: inside the project, unless the environment says otherwise."""

import os
import pwd
import warnings
from pathlib import Path

from components.errors import UserError
from flows.moved_project import follow_move
from flows.proxies import check_proxies, reach_loopback_directly
from flows.settings import check_settings

STATE = ".presel"
# Where the project is, for a process that is not started in its folder.
PROJECT_VARIABLE = "PRESEL_PROJECT"


# By these git takes another repository or index for the one of the folder; it sets them itself for its hooks.
OTHER_REPOSITORY = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
)
CODE_FOLDER = Path(__file__).resolve().parents[1]


class ProjectNotFoundError(UserError, FileNotFoundError):
    """The command was not called inside a checkout."""


def find_project_root(start: Path) -> Path:
    """The nearest folder from `start` upwards that holds the pipeline.

    Raises:
        ProjectNotFoundError: there is none.
    """
    for folder in (start, *start.parents):
        if (folder / "dvc.yaml").is_file() and (folder / "params.yaml").is_file() and (folder / ".dvc").is_dir():
            return folder
    raise ProjectNotFoundError(
        f"{start} is not inside a presel project: no parent folder holds dvc.yaml, params.yaml and .dvc. "
        "Change to your clone of the project and call presel again."
    )


class ForeignCodeError(UserError, RuntimeError):
    """The code that runs is not the project's own."""


class StateNotWritableError(UserError, PermissionError):
    """The folder of the project's state cannot be written."""


class FolderNameError(UserError, ValueError):
    """The project lies in a folder that a library cannot work in."""


def check_code(project_root: Path) -> None:
    """Make sure that the code that runs is the project's: it is the project's commit that a run records.

    Raises:
        ForeignCodeError: it lies in another folder, such as another clone whose environment is active.
        FolderNameError: the folder's name.
    """
    path = str(project_root.resolve())
    if any(mark in path for mark in "{}$?%") or ("'" in path and '"' in path):
        raise FolderNameError(
            f"{project_root}: DVC, SQLAlchemy and Alembic take {{ }} $ ? and % in a path for more than letters, MLflow "
            "single and double quotes together: they would fail or write elsewhere; rename the folder, or move the "
            "project"
        )
    if project_root.resolve() != CODE_FOLDER:
        raise ForeignCodeError(
            f"the code that runs is that of {CODE_FOLDER}, not of the project in {project_root}, so a run would record "
            "a commit that it did not run: activate the environment of this project (`make setup` makes one, in "
            ".venv), or change to the other folder"
        )


def enter_project() -> dict[str, str]:
    """The pull step of every deployment: a worker's process goes to the project and is configured as `presel` is.

    A worker runs it in a process of its own and gives the environment it leaves to the process of the flow, so Prefect
    reads these settings too. The project is `PRESEL_PROJECT`, else the checkout around the working directory, else the
    one that this code was installed from.

    Returns:
        `directory`, which Prefect takes for the flow's working directory.

    Raises:
        ProjectNotFoundError: there is none.
        ForeignCodeError: the code that runs is not the project's.
    """
    named = os.environ.get(PROJECT_VARIABLE)
    if named:
        root = find_project_root(Path(named).resolve())
    else:
        try:
            root = find_project_root(Path.cwd())
        except ProjectNotFoundError:
            root = find_project_root(CODE_FOLDER)
    check_code(root)
    configure_environment(root)
    return {"directory": str(root)}


def configure_environment(project_root: Path) -> None:
    """Make the project the working directory and the home of Prefect, MLflow, DVC and Hugging Face.

    Must run before any of these libraries is imported, because they read their settings at import. A variable that
    is set already is left alone: a production deployment points them at its servers that way.
    """
    os.chdir(project_root)
    state = project_root / STATE
    _check_writable(state)
    follow_move(project_root.resolve(), state)
    own = {name: value for name, value in _defaults(state).items() if not os.environ.get(name)}
    os.environ |= own
    check_settings(frozenset(os.environ) - own.keys())
    for name in OTHER_REPOSITORY:
        os.environ.pop(name, None)
    _name_user(state)
    _trust_checkout(project_root)
    reach_loopback_directly()
    check_proxies()
    # transformers warns about names that its own Trainer still calls; nothing a user can act on.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")


def _defaults(state: Path) -> dict[str, str]:
    """Variables of the libraries with what they are where nobody has set them."""
    return {
        "PREFECT_HOME": str(state / "prefect"),
        "PREFECT_LOGGING_FORMATTERS_STANDARD_FLOW_RUN_FMT": "%(asctime)s  %(message)s",
        "PREFECT_LOGGING_FORMATTERS_STANDARD_TASK_RUN_FMT": "%(asctime)s  %(task_run_name)s: %(message)s",
        "PREFECT_LOGGING_FORMATTERS_STANDARD_DATEFMT": "%H:%M:%S",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        # What providers and the ledger say of a purchase belongs to the run.
        "PREFECT_LOGGING_EXTRA_LOGGERS": "components.instructions",
        # Waits of 2, 4, 8, ... seconds: a server that is gone for four minutes does not end a run.
        "PREFECT_CLIENT_MAX_RETRIES": "7",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # The embedded server's database is SQLite on the user's disk; a slow disk is not an error.
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "DO_NOT_TRACK": "1",
        "MLFLOW_TRACKING_URI": f"sqlite:///{state / 'mlflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # What MLflow cannot be told now is kept and told later, so a run need not wait minutes for each request.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
        # Artifacts come through the tracking server: clients need not reach the store, and some stores answer a direct
        # download with an encoding that unpacks what was stored packed.
        "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
        "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "HF_HOME": str(state / "huggingface"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
        "DVC_SITE_CACHE_DIR": str(state / "dvc" / "site"),
        "DVC_GLOBAL_CONFIG_DIR": str(state / "dvc" / "global"),
        "DVC_SYSTEM_CONFIG_DIR": str(state / "dvc" / "system"),
        "DVC_NO_ANALYTICS": "1",
        "MPLCONFIGDIR": str(state / "matplotlib"),
        "XDG_CACHE_HOME": str(state / "cache"),
        "TOKENIZERS_PARALLELISM": "false",
        # Threads that wait by spinning cost a busy machine more than their work.
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def _check_writable(state: Path) -> None:
    if state.is_symlink() and not state.exists():
        raise StateNotWritableError(
            f"{state}, where every command keeps its state, is a link to {state.readlink()}, which is not there: "
            "mount or make that folder, or remove the link"
        )
    if not os.access(state if state.exists() else state.parent, os.W_OK | os.X_OK):
        raise StateNotWritableError(
            f"{state}, where every command keeps its state, cannot be written by user {os.geteuid()}: call presel as "
            "the user that the checkout belongs to, or make it writable for this one (chown, or a container's --user)"
        )
    state.mkdir(exist_ok=True)


def _name_user(home: Path) -> None:
    """Give a user without an entry in passwd, as containers run them, a name and a home: libraries ask for both."""
    user = os.getuid()
    try:
        pwd.getpwuid(user)
    except KeyError:
        if not any(os.environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):  # as Python looks
            os.environ["USER"] = f"uid-{user}"
        if not os.environ.get("HOME"):
            os.environ["HOME"] = str(home)


def _trust_checkout(project_root: Path) -> None:
    """Let git read a checkout that belongs to another user, as one on a container's volume does.

    Git refuses, because a repository can name programs for it to start. Whoever runs the project's code has trusted
    it already; without git a run could not record its commit.
    """
    for folder in (project_root, *project_root.parents):
        if (folder / ".git").exists() and (folder / ".git").stat().st_uid != os.geteuid():
            number = int(os.environ.get("GIT_CONFIG_COUNT") or 0)
            os.environ |= {
                "GIT_CONFIG_COUNT": str(number + 1),
                f"GIT_CONFIG_KEY_{number}": "safe.directory",
                f"GIT_CONFIG_VALUE_{number}": str(folder),
            }
            return
