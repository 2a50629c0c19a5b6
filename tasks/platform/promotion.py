"""The gate between a new version of the registered model and the champion, with its decisions kept in MLflow."""

import getpass
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime

import pyarrow as pa
from prefect import get_run_logger, task

from components.lineage.lock_file import LineageError, LockedPath
from components.lineage.objects import FindObject, artifact_file
from components.parameters.parameters import Parameters
from components.promotion.gate import BenchmarkedModel, Verdict, judge_challenger
from components.schemas import METRICS, PREDICTIONS
from components.storage import read_table
from tasks.platform.dvc_objects import open_objects
from tasks.platform.model_versions import CHAMPION, ModelVersion, champion_of, find_version
from tasks.platform.publish import RegisteredVersion
from tasks.platform.stage_context import CurationRun
from tasks.platform.tag_names import BENCHMARK_TAG, DECIDED_AT_TAG, DECIDED_BY_TAG, DECISION_TAG, REPLACED_TAG
from tasks.platform.tracking import TrackingAwayError, mlflow_errors, tracking_client
from tasks.platform.versioning import Artifact

DECISION_FOLDER = "promotion"


@task(name="judge_challenger", persist_result=False)
def judge_registered(run: CurationRun, registered: RegisteredVersion, benchmark: Artifact) -> Verdict | None:
    """Hold what the run registered against the champion; promote it when the parameters leave that to the gate.

    Returns:
        The verdict; None while MLflow is away or answers are lost or damaged: the run keeps what it made, and
        `presel promote` judges the version later.
    """
    logger = get_run_logger()
    if not registered.version:
        logger.warning("MLflow is away: `presel promote` judges the new version when it is there")
        return None
    try:
        with mlflow_errors():
            return _judge_registered(run, registered, benchmark)
    except TrackingAwayError as error:
        logger.warning("MLflow is away (%s): run `presel promote %s` later", error, registered.version)
        return None
    except (LineageError, pa.ArrowInvalid) as error:
        logger.warning(
            "version %s is registered and not judged, for the answers to judge by cannot be read: %s. Restore them "
            "from the DVC remote or a backup, then run `presel promote %s`",
            registered.version,
            error,
            registered.version,
        )
        return None


def _judge_registered(run: CurationRun, registered: RegisteredVersion, benchmark: Artifact) -> Verdict:
    # The same adapter may have been benchmarked on other questions since it was registered.
    tracking_client().set_model_version_tag(registered.name, registered.version, BENCHMARK_TAG, benchmark.dvc_hash)
    parameters = run.workspace.parameters()
    version = find_version(registered.version, name=registered.name)
    verdict = judge_version(version, parameters)
    promote = verdict.promotes and parameters.promotion.automatic
    if verdict.outcome != "is_champion":
        record_decision(version, verdict, promoted=promote, by="run", parameters=parameters)
    done = "promoted" if promote else "not promoted"
    waits = "; promotion.automatic is false: `presel promote` does it" if verdict.promotes and not promote else ""
    get_run_logger().info("version %s: %s, %s%s", version.version, done, verdict.reason, waits)
    return verdict


def promote_version(name: str | None, parameters: Parameters, *, force_because: str | None) -> tuple[Verdict, bool]:
    """Run the gate on a version, for a person.

    Args:
        name: of the version, as `find_version` takes it.
        parameters: `promotion` and `seed` count.
        force_because: why it shall be promoted whatever the gate says; None: as the gate says.

    Returns:
        The verdict, and whether the version was promoted now.

    Raises:
        LineageError: no such version, or its answers are lost.
    """
    version = find_version(name)
    verdict = judge_version(version, parameters)
    if force_because is not None and verdict.outcome != "is_champion" and not verdict.promotes:
        reason = f"forced: {force_because} (the gate: {verdict.reason})"
        verdict = Verdict(
            verdict.version, verdict.champion, "forced", reason, average=verdict.average, sets=verdict.sets
        )
    if verdict.outcome == "is_champion":
        return verdict, False
    record_decision(version, verdict, promoted=verdict.promotes, by="presel promote", parameters=parameters)
    return verdict, verdict.promotes


def judge_version(version: ModelVersion, parameters: Parameters) -> Verdict:
    """Hold a version against the champion of its model; changes nothing.

    Raises:
        LineageError: the version's answers on the benchmark are lost.
    """
    champion = champion_of(version.name)
    with open_objects() as find:
        challenger = _benchmarked(version, find)
        try:
            other = None if champion is None else _benchmarked(champion, find)
        except LineageError as error:
            assert champion is not None
            return Verdict(version.version, champion.version, "not_comparable", f"the champion's answers: {error}")
    return judge_challenger(challenger, other, promotion=parameters.promotion, seed=parameters.seed)


def record_decision(
    version: ModelVersion, verdict: Verdict, *, promoted: bool, by: str, parameters: Parameters
) -> None:
    """Write a decision down, then act on it: tags of the version, and a file of its run that nothing overwrites.

    Args:
        version: that was judged.
        verdict: on it.
        promoted: whether it becomes champion now.
        by: which command or run decided; the user and the machine are added.
        parameters: in force.
    """
    client, now = tracking_client(), datetime.now(UTC)
    who = f"{by}, {_user()}@{platform.node()}"
    content = {
        "model": version.name,
        **asdict(verdict),
        "promoted": promoted,
        "at": now.isoformat(timespec="milliseconds"),
        "by": who,
        "gate": parameters.promotion.model_dump(mode="json"),
        "seed": parameters.seed,
    }
    name = f"{DECISION_FOLDER}/version-{version.version}-{now.strftime('%Y%m%dT%H%M%S%f')}.json"
    client.log_text(version.run_id, json.dumps(content, indent=1) + "\n", name)
    said = "promoted" if promoted else "would be promoted" if verdict.promotes else "not promoted"
    tags = {
        DECISION_TAG: f"{said}: {verdict.reason}",
        DECIDED_AT_TAG: now.strftime("%Y-%m-%d %H:%M:%S UTC"),
        DECIDED_BY_TAG: who,
    }
    for key, value in tags.items():
        client.set_model_version_tag(version.name, version.version, key, value)
    if promoted:
        client.set_registered_model_alias(version.name, CHAMPION, version.version)
        if verdict.champion:
            client.set_model_version_tag(version.name, verdict.champion, REPLACED_TAG, version.version)


def decision_tags(tags: Mapping[str, str]) -> tuple[str, str, str]:
    """What was decided of a version last, when, and by whom; empty texts while nothing was."""
    decision, at, by = (tags.get(name, "") for name in (DECISION_TAG, DECIDED_AT_TAG, DECIDED_BY_TAG))
    return decision, at, by


def _benchmarked(version: ModelVersion, find: FindObject) -> BenchmarkedModel:
    answers = version.tags.get(BENCHMARK_TAG)
    if not answers:
        raise LineageError(f"version {version.version} of {version.name} was registered without a benchmark")
    artifact = LockedPath("data/benchmark/tuned", answers, 0)
    return BenchmarkedModel(
        version.version,
        predictions=read_table(artifact_file(artifact, "predictions.parquet", find), PREDICTIONS),
        metrics=read_table(artifact_file(artifact, "metrics.parquet", find), METRICS),
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except KeyError:  # a container's user need not have a name
        return f"uid {os.getuid()}"
