"""Variables of the environment that a library or git cannot read: refused by name, before it fails at its import."""

import os
import ssl
from collections.abc import Iterator
from urllib.parse import urlsplit

from components.errors import UserError

# Any text is a value of these; the others say themselves what they take.
_TEXTS_OF_MLFLOW = frozenset(
    f"MLFLOW_{name}"
    for name in (
        "TRACKING_URI",
        "TRACKING_USERNAME",
        "TRACKING_PASSWORD",
        "TRACKING_TOKEN",
        "EXPERIMENT_NAME",
        "LOGGING_LEVEL",
    )
)


class SettingError(UserError, ValueError):
    """A variable of the environment, or a setting of Prefect's files, has a value that cannot be used."""


def check_settings(set_by_user: frozenset[str]) -> None:
    """Make sure that git and the libraries can read what the environment tells them.

    Prefect's own settings are `prefect_fault`'s part: Prefect reads them, from more places than these, at its import.

    Args:
        set_by_user: names of variables that the project has not set itself.

    Raises:
        SettingError: one cannot be used.
    """
    count = os.environ.get("GIT_CONFIG_COUNT") or "0"
    if not count.isdecimal():
        raise _unusable("GIT_CONFIG_COUNT", "it is the number of GIT_CONFIG_KEY_0, ..., which git reads")
    try:
        parts = urlsplit(os.environ["MLFLOW_TRACKING_URI"])
        _ = parts.port
    except ValueError as error:
        raise _unusable("MLFLOW_TRACKING_URI", f"{error}; write http://HOST:PORT or sqlite:///FILE") from None
    certificates = os.environ.get("SSL_CERT_FILE")
    if certificates:
        try:
            ssl.create_default_context(cafile=certificates)
        except OSError as error:  # an ssl.SSLError among them
            raise _unusable("SSL_CERT_FILE", f"no certificates can be read from it ({error})") from None
    if any(name.startswith("HF_") for name in set_by_user):
        _check_hub(set_by_user)
    if any(name.startswith("MLFLOW_") for name in set_by_user - _TEXTS_OF_MLFLOW):
        _check_mlflow(set_by_user)


def _check_hub(names: frozenset[str]) -> None:
    try:
        import huggingface_hub.constants  # noqa: F401 -- it reads its variables at its import
    except ValueError as error:
        named = [name for name in names if name.startswith("HF_") and repr(os.environ[name]) in str(error)]
        raise _unusable(" or ".join(sorted(named)) or "a variable HF_...", str(error)) from None


def _check_mlflow(names: frozenset[str]) -> None:
    from mlflow import environment_variables

    for name in sorted(names):
        variable = getattr(environment_variables, name, None)
        if variable is not None and name.startswith("MLFLOW_"):
            try:
                variable.get()
            except ValueError as error:
                raise _unusable(name, str(error)) from None


def _unusable(name: str, said: str) -> SettingError:
    # The value is not repeated where it may be a password's place.
    return SettingError(f"{name} in the environment cannot be used: {said}. Correct or unset it")


def prefect_fault(error: ValueError) -> str:
    """What is wrong with Prefect's settings, where an error is about them; "" where it is not."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError) or not error.title.endswith("Settings"):
        return ""
    problems = [item for item in error.errors() if item["type"] != "default_factory_not_called"]
    said = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in problems)
    named = sorted({name for item in problems for name in _variables_with(item["input"])})
    return (
        f"Prefect cannot use its settings ({error.title}: {said}): correct or unset "
        f"{', '.join(named) or 'them'} in the environment, .env, prefect.toml or a Prefect profile"
    )


def _variables_with(value: object) -> Iterator[str]:
    for name, given in os.environ.items():
        if name.startswith("PREFECT_") and given.casefold() == str(value).casefold():
            yield name
