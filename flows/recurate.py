"""The `recurate` flow: the pool has changed; what was picked and bought stays, the difference is picked and bought."""

from typing import Any

from prefect import State, flow, get_run_logger
from prefect.states import Completed

from components.parameters.parameters import ParameterError
from components.recuration.finished import FinishedCuration
from components.strategies.load import strategies_that
from flows.curation_steps import curate_pool
from flows.form import (
    AS_CONFIGURED,
    BudgetField,
    EngineChoice,
    NameField,
    OverlayFields,
    ProviderChoice,
    SettingFields,
    asked_workspace,
    chosen_engine,
    form_settings,
    run_name,
)
from flows.model_check import check_models
from flows.outcome import CurationOutcome
from flows.prepare_workspace import all_workspaces
from flows.purchase import cancelled_when_declined
from tasks.ingest import ingest
from tasks.platform.curation_run import open_curation_run
from tasks.platform.failures import explained
from tasks.platform.finished import find_finished, go_on_from, is_as_finished, last_finished
from tasks.platform.snapshot import snapshot_inputs
from tasks.platform.workspace import Workspace

UNCHANGED = "Unchanged"


@flow(name="recurate", flow_run_name=run_name, persist_result=False)
@cancelled_when_declined
def recurate(
    workspace: str = "",
    budget: BudgetField = "",
    provider: ProviderChoice = AS_CONFIGURED,
    overlays: OverlayFields = (),
    settings: SettingFields = (),
    name: NameField = "",
    register_version: bool = True,
    engine: EngineChoice = AS_CONFIGURED,
) -> CurationOutcome | State[Any]:
    """Go on from the last finished curation of a workspace: only what is new is hashed, embedded, scored and bought.

    The first curation of a workspace goes on from nothing, as `curate` does. A run that failed is run again and goes
    on from the same curation. Where nothing has changed nothing is done, and the run ends in the state `Unchanged`.

    Args:
        workspace: Usually empty. Folder of the curation to go on from, such as runs/trial or . (the project's own),
            with exactly its parameters; the fields from budget to name then stay as they are.
        budget: Images that may carry an instruction, reference set included. A share (15%), a count (450) or dollars
            ($20). Empty: as params.yaml and the overlays say.
        provider: Who writes instructions (docs/instructions.md). openai and batch cost money.
        overlays: Parameter files laid over params.yaml, in order, the same as of the curation to go on from.
        settings: Single parameters laid over them, such as tuning.batch_size=8 (params.yaml lists all).
        name: Folder under runs/ of the curation to go on from. Empty: from the overlays and settings.
        register_version: Make the tuned model a version of the registered model.
        engine: Where the heavy stages compute, which changes no result (docs/scale.md).

    Returns:
        Where to look, and the numbers that matter.

    Raises:
        ParameterError: strategy or rounding do not allow it.
    """
    chosen = form_settings(settings, budget=budget, provider=provider)
    place = asked_workspace(workspace, overlays=overlays, settings=chosen, name=name)
    with place.exclusive(), explained(place, "the run"):
        snapshot_inputs(place)
        finished = find_finished(place)
        check_recuration(place, finished)
        if finished is None:
            _refuse_a_mistaken_beginning(place)
        if finished is not None and is_as_finished(place, finished):
            return Completed(name=UNCHANGED, message=f"nothing has changed since run {finished.run}: nothing to do")
        with open_curation_run(place, refresh=False, engine=chosen_engine(engine)) as run:
            check_models(place)
            manifest = ingest(run)
            if finished is None:
                get_run_logger().info("no curation has finished in workspace %s: this is the first", place.root)
            else:
                go_on_from(run, finished)
            return curate_pool(run, manifest, register_version=register_version)


def _refuse_a_mistaken_beginning(place: Workspace) -> None:
    """A schedule that names no overlays would curate the project's own workspace anew, and buy what others have."""
    others = [other.root for other in all_workspaces() if other.root != place.root and last_finished(other) is not None]
    if others:
        raise ParameterError(
            f"no curation has finished in workspace {place.root!r}, but in {', '.join(others)}: name that one by the "
            "overlays, settings or name that it was made with, or begin a new one with `presel run`"
        )


def check_recuration(place: Workspace, finished: FinishedCuration | None = None) -> None:
    """Make sure that a workspace can be recurated.

    Args:
        place: the workspace.
        finished: its last finished curation.

    Raises:
        ParameterError: strategy or rounding cannot keep what was picked.
    """
    parameters = place.parameters()
    able = strategies_that("can_recurate")
    if parameters.strategy not in able:
        raise ParameterError(
            f"strategy {parameters.strategy!r} cannot be recurated, only {', '.join(able)}: set `strategy`, or curate "
            "the changed pool anew with `presel run`, which buys nothing twice"
        )
    if parameters.allocate.rounding != "exact":
        raise ParameterError(
            f"allocate.rounding {parameters.allocate.rounding!r} cannot keep what was picked earlier, only 'exact': "
            "set that, or curate from scratch with `presel run --from-scratch`"
        )
    if finished is not None and finished.strategy != parameters.strategy:
        raise ParameterError(
            f"the last curation of workspace {place.root!r} (run {finished.run}) chose with strategy "
            f"{finished.strategy!r}, not {parameters.strategy!r}: give a --name of its own, or `presel run` first"
        )
