"""The tags by which MLflow's runs and model versions are found again; older projects carry them, so they stay."""

# Of a run.
RUN_TAG = "presel.run"  # identity that the run had before MLflow gave it an id
WORKSPACE_TAG = "presel.workspace"  # folder, relative to the project; also of a model version
STRATEGY_TAG = "presel.strategy"
COMMIT_TAG = "presel.git_commit"  # with `-dirty` where the code differed from it
CODE_TAG = "presel.code_diff_sha256"  # of the patch to that commit; empty where there was none
LOCK_TAG = "presel.dvc_lock_sha256"
COST_TAG = "presel.cost_usd"
STAGE_TAG = "presel.stage"
COMPARISON_TAG = "presel.comparison"
BENCHMARKED_TAG = "presel.benchmarked"
GOES_ON_FROM_TAG = "presel.goes_on_from"
MODEL_TAG = "presel.model_version"  # NAME/VERSION that the run's adapter is registered as
FLOW_RUN_TAG = "prefect.flow_run"
FLOW_RUN_ID_TAG = "prefect.flow_run_id"
FLOW_RUN_URL_TAG = "prefect.flow_run_url"
PARENT_TAG = "mlflow.parentRunId"

# Of a model version.
ADAPTER_TAG = "presel.adapter"  # DVC's hash of the artifact `model`
BENCHMARK_TAG = "presel.benchmark"  # DVC's hash of the artifact `benchmark/tuned`
DECISION_TAG = "presel.promotion"
DECIDED_AT_TAG = "presel.promotion.at"
DECIDED_BY_TAG = "presel.promotion.by"
REPLACED_TAG = "presel.promotion.replaced_by"
