"""The `curate` flow: the paper's steps, in order."""

from prefect import flow

from flows.curation_steps import curate_pool
from flows.form import (
    AS_CONFIGURED,
    BudgetField,
    EngineChoice,
    NameField,
    OverlayFields,
    ProviderChoice,
    SettingFields,
    StrategyChoice,
    asked_workspace,
    chosen_engine,
    form_settings,
    run_name,
)
from flows.model_check import check_models
from flows.outcome import CurationOutcome
from flows.purchase import cancelled_when_declined
from tasks.ingest import ingest
from tasks.platform.curation_run import open_curation_run
from tasks.platform.failures import explained
from tasks.platform.finished import start_from_nothing, warn_of_changed_pool
from tasks.platform.snapshot import snapshot_inputs


@flow(name="curate", flow_run_name=run_name, persist_result=False)
@cancelled_when_declined
def curate(
    workspace: str = "",
    strategy: StrategyChoice = AS_CONFIGURED,
    budget: BudgetField = "",
    provider: ProviderChoice = AS_CONFIGURED,
    overlays: OverlayFields = (),
    settings: SettingFields = (),
    name: NameField = "",
    annotate_pool: bool = False,
    from_scratch: bool = False,
    refresh: bool = False,
    register_version: bool = True,
    engine: EngineChoice = AS_CONFIGURED,
    comparison_run_id: str = "",
) -> CurationOutcome:
    """Decide which images deserve an instruction, buy those, tune the model on them and measure it.

    Args:
        workspace: Usually empty. Folder of an earlier run, such as runs/trial or . (the project's own), to run again
            with exactly its parameters; the fields from strategy to name then stay as they are.
        strategy: How the images are chosen (docs/strategies.md).
        budget: Images that may carry an instruction, reference set included. A share (15%), a count (450) or dollars
            ($20). Empty: as params.yaml and the overlays say.
        provider: Who writes instructions (docs/instructions.md). openai and batch cost money.
        overlays: Parameter files laid over params.yaml, in order, such as conf/llava-1.5-7b.yaml.
        settings: Single parameters laid over them, such as tuning.batch_size=8 (params.yaml lists all).
        name: Folder under runs/ that keeps this run's artifacts. Empty: from the overlays and settings.
        annotate_pool: Pay for instructions of the whole pool where the strategy reads them all (tive, coincide, full).
        from_scratch: Forget what earlier curations picked; what was bought stays bought.
        refresh: Run every stage, also those that are up to date.
        register_version: Make the tuned model a version of the registered model.
        engine: Where the heavy stages compute, which changes no result (docs/scale.md).
        comparison_run_id: Usually empty. MLflow run of the comparison that this run is a part of.

    Returns:
        Where to look, and the numbers that matter.
    """
    chosen = form_settings(settings, strategy=strategy, budget=budget, provider=provider)
    place = asked_workspace(workspace, overlays=overlays, settings=chosen, name=name)
    with (
        place.exclusive(),
        explained(place, "the run"),
        open_curation_run(
            place,
            refresh=refresh,
            annotate_pool=annotate_pool,
            parent_run_id=comparison_run_id or None,
            engine=chosen_engine(engine),
        ) as run,
    ):
        if from_scratch:
            start_from_nothing(place)
        snapshot_inputs(place)
        check_models(place)
        manifest = ingest(run)
        warn_of_changed_pool(place)
        return curate_pool(run, manifest, register_version=register_version)
