"""The fields of the form that the Prefect UI shows for a deployment, and the workspace that they ask for.

What a field accepts is written into the deployment as JSON schema, so the server refuses a value that cannot be meant
when the run is created: in the form, by `prefect deployment run` and by a schedule.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

from prefect.runtime import flow_run
from pydantic import AfterValidator, Field

from components.instructions.open_provider import PROVIDERS
from components.parameters.compute import ENGINES, EngineName
from components.parameters.parameters import ParameterError
from components.parameters.section import one_of
from components.selection.budget import budget_text, parse_budget
from components.strategies.names import STRATEGY_NAMES, check_strategy_name
from flows.prepare_workspace import (
    NAME,
    chosen_settings,
    find_workspace,
    prepare_workspace,
    resolve_workspace,
    update_pipeline,
)
from tasks.platform.workspace import Workspace

AS_CONFIGURED: Final = "as configured"


def _readable(value: str) -> str:
    if value:
        parse_budget(value)
    return value


def _configured_or_strategy(value: str) -> str:
    return value if value == AS_CONFIGURED else check_strategy_name(value)


# An empty text or "as configured" leaves a parameter as params.yaml and the overlays say: a field that may be null
# would be drawn as a choice between types.
StrategyChoice = Annotated[
    str,
    AfterValidator(_configured_or_strategy),
    Field(json_schema_extra={"enum": [AS_CONFIGURED, *STRATEGY_NAMES]}),
]
StrategyField = Annotated[
    str, AfterValidator(check_strategy_name), Field(json_schema_extra={"enum": list(STRATEGY_NAMES)})
]
ProviderChoice = Annotated[
    str,
    one_of(lambda: (AS_CONFIGURED, *PROVIDERS)),
    Field(json_schema_extra={"enum": [AS_CONFIGURED, *PROVIDERS]}),
]
EngineChoice = Annotated[
    str,
    one_of(lambda: (AS_CONFIGURED, *ENGINES)),
    Field(json_schema_extra={"enum": [AS_CONFIGURED, *ENGINES]}),
]
# The pattern says in JSON schema what `parse_budget` accepts; a test holds the two together.
_NUMBER = r"\d+(?:[,_]\d{3})*"
BUDGET_PATTERN = (
    r"^\s*(?:(?=[^%]*[1-9])0*(?:100(?:\.0+)?|\d{1,2}(?:\.\d+)?)\s*%"  # a share of more than nothing
    rf"|(?=.*[1-9])(?:{_NUMBER}|\$\s*{_NUMBER}(?:\.\d+)?|0*\.\d+))?\s*$"  # a count, dollars, a fraction; or nothing
)
BudgetField = Annotated[
    str, AfterValidator(_readable), Field(json_schema_extra={"pattern": BUDGET_PATTERN, "examples": ["15%", "$200"]})
]
NameField = Annotated[str, Field(pattern=rf"^({NAME.pattern})?$")]
OverlayFields = tuple[Annotated[str, Field(pattern=r"\.ya?ml$", examples=["conf/llava-1.5-7b.yaml"])], ...]
SettingFields = tuple[Annotated[str, Field(pattern=r"^[\w.]+=", examples=["tuning.batch_size=8"])], ...]


def form_settings(
    settings: Sequence[str] = (),
    *,
    strategy: StrategyChoice = AS_CONFIGURED,
    budget: str = "",
    provider: ProviderChoice = AS_CONFIGURED,
) -> list[str]:
    """The fields of the form as `section.key=value`, before the settings that a person wrote."""
    return chosen_settings(
        settings,
        strategy=None if strategy == AS_CONFIGURED else strategy,
        budget=budget.strip() or None,
        provider=None if provider == AS_CONFIGURED else provider,
    )


def chosen_engine(engine: EngineChoice) -> EngineName | None:
    """The engine that the field of a form names; None: as the parameters say."""
    return next((name for name in ENGINES if name == engine), None)


def asked_workspace(workspace: str, *, overlays: Sequence[str], settings: Sequence[str], name: str) -> Workspace:
    """Lay out the workspace that the fields of a form ask for, or find the one that they name.

    Args:
        workspace: folder of an earlier run in the project, or its name under `runs/`, whose parameters are then taken
            as they are; empty: lay one out.
        overlays: parameter files laid over params.yaml, relative to the project root.
        settings: `section.key=value`, laid over them.
        name: folder under `runs/`; empty: from the overlays and settings.

    Raises:
        ParameterError: the parameters are not usable, there is no such workspace, it lies outside the project, or
            both are given.
    """
    if not workspace:
        return prepare_workspace(overlays=[Path(file) for file in overlays], settings=settings, name=name or None)
    if overlays or settings or name:
        raise ParameterError(
            f"workspace {workspace!r} has parameters of its own: leave it empty to change some, or leave strategy, "
            "budget, provider, overlays, settings and name as they are"
        )
    here, folder = Path.cwd().resolve(), Path(workspace).resolve()
    if not folder.is_relative_to(here):
        raise ParameterError(f"workspace {workspace!r} lies outside the project {here}: name one in it, or under runs/")
    found = Workspace(str(folder.relative_to(here)))
    found = found if found.pipeline_file.is_file() else find_workspace(workspace)
    update_pipeline(found)
    return found


def run_name() -> str:
    """A name a person can read, such as `curate project 15% presel`; of the flow run that is being named."""
    given = flow_run.parameters
    kind = str(flow_run.flow_name)
    try:
        place, strategy, budget = _described(given)
    except (ParameterError, ValueError):
        return f"{kind} (its parameters are not usable)"
    return f"{kind} {place} {budget} {strategy}"


def _described(given: dict[str, object]) -> tuple[str, str, str]:
    if given.get("workspace"):
        place = Workspace(str(given["workspace"]))
        parameters = place.parameters()
    else:
        chosen = {key: given[key] for key in ("strategy", "budget", "provider") if key in given}
        resolved = resolve_workspace(
            overlays=[Path(file) for file in given.get("overlays", ())],  # type: ignore[attr-defined]  # checked by Prefect
            settings=form_settings(given.get("settings", ()), **chosen),  # type: ignore[arg-type]  # checked by Prefect
            name=str(given.get("name", "")) or None,
        )
        place, parameters = resolved.workspace, resolved.parameters
    return place.name, parameters.strategy, budget_text(parse_budget(parameters.budget))
