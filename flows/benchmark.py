"""The `benchmark` flow: a registered version, or the model of a run, on the configured sets."""

from prefect import flow

from components.parameters.parameters import ParameterError
from flows.form import NameField, OverlayFields, SettingFields, asked_workspace
from tasks.platform.benchmark_model import ModelBenchmark, benchmark_model, find_adapter
from tasks.platform.failures import explained


def _flow_run_name() -> str:
    from prefect.runtime import flow_run

    given = flow_run.parameters
    return f"benchmark {given.get('model') or given.get('workspace') or 'project'}"


@flow(name="benchmark", flow_run_name=_flow_run_name, persist_result=False)
def benchmark(
    model: str = "",
    workspace: str = "",
    overlays: OverlayFields = (),
    settings: SettingFields = (),
    name: NameField = "",
) -> ModelBenchmark:
    """Ask a model the questions of the configured benchmark sets, again or with other sets than its run had.

    Args:
        model: Registered version, NAME/VERSION or NAME@ALIAS, such as presel-demo@champion. Empty: the tuned model of
            the workspace.
        workspace: Folder of the run whose parameters, pool and model are used, such as runs/trial. Empty: what the
            fields below ask for, usually the project's own.
        overlays: Parameter files laid over params.yaml, in order.
        settings: Single parameters laid over them, such as benchmark.max_new_tokens=64.
        name: Folder under runs/ for these parameters. Empty: from the overlays and settings.

    Returns:
        Its scores, and where they are kept.

    Raises:
        ParameterError: no set is configured.
    """
    place = asked_workspace(workspace, overlays=overlays, settings=settings, name=name)
    if not place.parameters().benchmark.sets:
        raise ParameterError(f"{place.parameter_file}: benchmark.sets lists no set; there is nothing to ask")
    with place.exclusive(), explained(place, "benchmark"):
        return benchmark_model(place, find_adapter(place, model), model=model or f"model of workspace {place.root}")
