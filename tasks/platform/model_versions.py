"""Versions of the registered model, by what people call them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from components.lineage.lock_file import LineageError
from components.parameters.reading import load_parameters
from tasks.platform.tracking import tracking_client
from tasks.platform.workspace import Workspace

CHAMPION = "champion"
CHALLENGER = "challenger"
_NO_SUCH = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})  # model, alias


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version of a registered model.

    Attributes:
        name: of the registered model.
        version: its number.
        run_id: MLflow run that made it.
        aliases: such as `champion`; `all_versions` leaves them out, as MLflow's search does.
        tags: by name.
        created_ms: milliseconds since 1970.
    """

    name: str
    version: str
    run_id: str
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    created_ms: int

    @property
    def address(self) -> str:
        """As MLflow takes it."""
        return f"models:/{self.name}/{self.version}"


def find_version(text: str | None, *, name: str | None = None) -> ModelVersion:
    """Find a version.

    Args:
        text: `3`, `NAME/3`, `models:/NAME/3`, `champion`, `challenger`, `NAME@champion`; None: the newest.
        name: of the registered model where the text gives none; None: that of params.yaml.

    Raises:
        LineageError: there is no such version.
    """
    from mlflow.exceptions import MlflowException

    model, wanted = _split(text, name)
    client = tracking_client()
    try:
        if wanted is None:
            versions = all_versions(model)
            if not versions:
                raise LineageError(f"no model {model!r} is registered yet; `presel run` registers one")
            wanted = versions[0].version
        if wanted.isdigit():
            return _version(client.get_model_version(model, wanted))
        return _version(client.get_model_version_by_alias(model, wanted))
    except MlflowException:
        there = ", ".join(one.version for one in all_versions(model)) or "none yet"
        raise LineageError(f"no run and no version {text!r} of model {model!r}; its versions are {there}") from None


def champion_of(name: str) -> ModelVersion | None:
    """The version in use; None while there is none."""
    from mlflow.exceptions import MlflowException

    try:
        return _version(tracking_client().get_model_version_by_alias(name, CHAMPION))
    except MlflowException as error:
        if error.error_code not in _NO_SUCH:
            raise
        return None


def all_versions(name: str | None = None) -> tuple[ModelVersion, ...]:
    """Every version of a registered model, or of all of them; the newest number of a model first."""
    client = tracking_client()
    found: list[ModelVersion] = []
    token = None
    while True:
        page = client.search_model_versions(f"name='{name}'" if name else None, page_token=token)
        found += [_version(one) for one in page]
        token = page.token
        if not token:
            return tuple(sorted(found, key=lambda one: (one.name, -int(one.version))))


def _split(text: str | None, name: str | None) -> tuple[str, str | None]:
    rest = (text or "").removeprefix("models:/")
    for separator in ("@", "/"):
        before, found, after = rest.rpartition(separator)
        if found:
            return before, after
    return name or load_parameters(Workspace(".").parameter_file).registry.model_name, rest or None


def _version(found: Any) -> ModelVersion:
    return ModelVersion(
        name=found.name,
        version=str(found.version),
        run_id=found.run_id or "",
        aliases=tuple(found.aliases),
        tags=MappingProxyType(dict(found.tags)),
        created_ms=found.creation_timestamp,
    )
