"""A stage is computed once per content, and never believed when its artifact is gone."""

import contextvars
import errno
import functools
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from prefect import flow, get_client
from prefect.client.orchestration import PrefectClient

from components.instructions.purchase_errors import EndpointFailsError
from components.storage import fresh_directory, write_json
from flows.deploy import set_limit
from tasks.platform.declaration import Resource
from tasks.platform.dvc_objects import open_repository
from tasks.platform.failures import StageFailedError
from tasks.platform.stage import StageTask, stage
from tasks.platform.stage_context import CurationRun, StageContext, StageRefusedError, StageSummary
from tasks.platform.versioning import Artifact, MissingInputError, StageChangedError
from tasks.platform.workspace import Workspace

pytestmark = pytest.mark.slow(60)
HERE = CurationRun(Workspace("."))
count_stage = functools.partial(stage, "count the numbers", reads=("inputs/numbers.json",), writes="count")


class Pipeline:
    """Two real stages that note when their bodies run."""

    def __init__(self) -> None:
        self.executed: list[str] = []

        @count_stage()
        def count(context: StageContext) -> StageSummary:
            self.executed.append("count")
            numbers = json.loads(context.input("inputs/numbers.json").read_text(encoding="utf-8"))
            with fresh_directory(context.output) as directory:
                write_json(directory / "count.json", len(numbers))
            return StageSummary(1, f"{len(numbers)} numbers")

        @stage("double the count", reads=("count",), writes="sum")
        def sum(context: StageContext) -> StageSummary:  # noqa: A001 -- the stage is called as its function
            self.executed.append("sum")
            count = json.loads((context.input("count") / "count.json").read_text(encoding="utf-8"))
            with fresh_directory(context.output) as directory:
                write_json(directory / "sum.json", count * 2)
            return StageSummary(1, "doubled")

        self.count: StageTask = count
        self.sum: StageTask = sum

    def run(self, run: CurationRun = HERE) -> Artifact:
        """Run both in a flow; `executed` then names the bodies that ran."""
        self.executed.clear()

        @flow
        def both() -> Artifact:
            return self.sum(run, self.count(run))

        return both()


@pytest.fixture
def pipeline(two_stages: Path) -> Pipeline:
    return Pipeline()


def run(pipeline: Pipeline, curation_run: CurationRun = HERE) -> list[str]:
    pipeline.run(curation_run)
    return pipeline.executed


def test_a_second_run_computes_nothing(pipeline: Pipeline) -> None:
    assert run(pipeline) == ["count", "sum"]
    assert run(pipeline) == []


def test_the_record_closes_the_artifact(pipeline: Pipeline, two_stages: Path) -> None:
    run(pipeline)
    assert json.loads((two_stages / "data/count/artifact.json").read_text(encoding="utf-8"))["stage"] == "count"


def test_dvc_is_up_to_date_after_a_run(pipeline: Pipeline, two_stages: Path) -> None:
    run(pipeline)
    command = [sys.executable, "-m", "dvc", "status"]
    done = subprocess.run(command, cwd=two_stages, capture_output=True, text=True, check=True)
    assert "up to date" in done.stdout


def test_dvc_writes_the_same_lock_file(pipeline: Pipeline, two_stages: Path) -> None:
    run(pipeline)
    written = (two_stages / "dvc.lock").read_bytes()
    with open_repository() as repository:
        repository.commit(force=True)
    assert (two_stages / "dvc.lock").read_bytes() == written


def test_a_new_input_runs_what_reads_it(pipeline: Pipeline, two_stages: Path) -> None:
    run(pipeline)
    (two_stages / "data/inputs/numbers.json").write_text("[1, 2]", encoding="utf-8")
    assert run(pipeline) == ["count", "sum"]


def test_an_equal_output_stops_the_change(pipeline: Pipeline, two_stages: Path) -> None:
    run(pipeline)
    (two_stages / "data/inputs/numbers.json").write_text("[4, 5, 6]", encoding="utf-8")
    assert run(pipeline) == ["count"]


def test_a_changed_parameter_or_line_of_code_runs_the_stage(pipeline: Pipeline, two_stages: Path) -> None:
    run(pipeline)
    parameters = two_stages / "params.yaml"
    parameters.write_text(parameters.read_text(encoding="utf-8").replace("seed: 17", "seed: 18"), encoding="utf-8")
    assert run(pipeline) == ["count"]
    (two_stages / "components/code.py").write_text("STEP = 2\n", encoding="utf-8")
    assert run(pipeline) == ["count"]
    (two_stages / "components/code.py").write_text("STEP = 1\n", encoding="utf-8")
    assert run(pipeline) == [], "an earlier state of the code is still in the cache"


def test_a_deleted_artifact_comes_back_from_the_cache(pipeline: Pipeline, two_stages: Path) -> None:
    run(pipeline)
    shutil.rmtree(two_stages / "data/count")
    assert run(pipeline) == []
    assert json.loads((two_stages / "data/count/count.json").read_text(encoding="utf-8")) == 3


def test_a_damaged_artifact_is_replaced(pipeline: Pipeline, two_stages: Path) -> None:
    run(pipeline)
    (two_stages / "data/count/count.json").write_text("99", encoding="utf-8")
    assert run(pipeline) == []
    assert json.loads((two_stages / "data/count/count.json").read_text(encoding="utf-8")) == 3


def test_a_finished_stage_is_in_the_remote_at_once(pipeline: Pipeline, two_stages: Path) -> None:
    run(pipeline)
    for lost in ("data/count", "data/sum", ".dvc/cache"):
        shutil.rmtree(two_stages / lost)
    (two_stages / "dvc.lock").unlink()
    assert run(pipeline) == []
    assert json.loads((two_stages / "data/sum/sum.json").read_text(encoding="utf-8")) == 6


def test_nothing_is_pushed_unless_the_parameters_say_so(pipeline: Pipeline, two_stages: Path) -> None:
    parameters = two_stages / "params.yaml"
    text = parameters.read_text(encoding="utf-8")
    parameters.write_text(text.replace("push_to_remote: true", "push_to_remote: false"), encoding="utf-8")
    run(pipeline)
    assert not (two_stages / ".presel/dvc-remote").exists()


def test_an_artifact_lost_everywhere_is_computed_again(pipeline: Pipeline, two_stages: Path) -> None:
    run(pipeline)
    for lost in ("data/count", ".dvc/cache", ".presel/dvc-remote"):
        shutil.rmtree(two_stages / lost)
    assert run(pipeline) == ["count"]


def test_refresh_runs_everything(pipeline: Pipeline) -> None:
    run(pipeline)
    assert run(pipeline, CurationRun(Workspace("."), refresh=True)) == ["count", "sum"]


def test_a_failure_is_not_remembered(pipeline: Pipeline, two_stages: Path) -> None:
    numbers = two_stages / "data/inputs/numbers.json"
    numbers.write_text("not json", encoding="utf-8")
    with pytest.raises(json.JSONDecodeError):
        pipeline.run()
    with pytest.raises(json.JSONDecodeError):
        pipeline.run()
    assert pipeline.executed == ["count"]


def test_a_missing_input_is_named(pipeline: Pipeline, two_stages: Path) -> None:
    (two_stages / "data/inputs/numbers.json").unlink()
    with pytest.raises(MissingInputError, match=r"numbers\.json"):
        pipeline.run()


def test_what_dvc_computed_the_flow_finds(pipeline: Pipeline) -> None:
    pipeline.count.run_for_dvc(Workspace("."), "count")
    assert run(pipeline) == ["sum"]


def test_what_was_written_again_outside_a_flow_is_no_result_of_one(pipeline: Pipeline, two_stages: Path) -> None:
    """Its page lacks the links of a run."""
    again = pipeline.count.run_again(Workspace("."), "count")
    assert json.loads((two_stages / "data/count/count.json").read_text(encoding="utf-8")) == 3
    assert again.dvc_hash
    assert run(pipeline) == ["count", "sum"]
    assert run(pipeline) == []


def test_an_input_that_changes_while_the_stage_runs_is_not_recorded(pipeline: Pipeline, two_stages: Path) -> None:
    numbers = two_stages / "data/inputs/numbers.json"

    @count_stage()
    def count(context: StageContext) -> StageSummary:
        with fresh_directory(context.output) as directory:
            write_json(directory / "count.json", 3)
        numbers.write_text("[1]", encoding="utf-8")
        return StageSummary(1, "three numbers, or were there?")

    @flow
    def only() -> Artifact:
        return count(HERE)

    with pytest.raises(StageChangedError, match="changed while it ran"):
        only()
    numbers.write_text("[1, 2, 3]", encoding="utf-8")
    assert run(pipeline) == ["count", "sum"], "nothing was kept under the first key"


def test_a_damaged_cached_result_is_a_miss(pipeline: Pipeline, two_stages: Path) -> None:
    run(pipeline)
    records = list((two_stages / ".presel/prefect/storage").rglob("*"))
    assert records
    for record in records:
        record.write_text(record.read_text(encoding="utf-8")[:40], encoding="utf-8")
    assert run(pipeline) == ["count", "sum"]


def test_a_metric_may_be_called_what_a_task_is_called(pipeline: Pipeline) -> None:
    from tasks.platform.stage_tracker import StageTracker
    from tasks.platform.tracking import experiment_id, tracking_client

    client = tracking_client()
    parent = client.create_run(experiment_id(client)).info.run_id
    with StageTracker(parent, "score") as tracker:
        tracker.log_summary((("importance/VQA (v2), q&a", 0.5), ("seconds", 1.0)), "two")
    (child,) = client.search_runs([experiment_id(client)], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert child.data.metrics["importance/VQA _v2__ q_a"] == 0.5


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (StageRefusedError("ask a person"), 1),
        (ValueError("a parameter"), 1),
        (OSError(errno.ENOSPC, "No space left on device"), 1),
        (OSError("gone"), 2),
        (EndpointFailsError("only 503"), 2),
    ],
)
def test_what_cannot_pass_is_not_tried_again(
    two_stages: Path, error: Exception, attempts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.platform.stage.BACK_OFF_SECONDS", (0.1,))
    tried: list[int] = []

    @count_stage(retries=1)
    def count(_context: StageContext) -> StageSummary:
        tried.append(1)
        raise error

    @flow
    def one() -> Artifact:
        return count(HERE)

    with pytest.raises((type(error), StageFailedError)):
        one()
    assert len(tried) == attempts


def test_a_failure_that_a_person_can_do_something_about_says_what(two_stages: Path) -> None:
    @count_stage()
    def count(_context: StageContext) -> StageSummary:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    @flow
    def one() -> Artifact:
        return count(HERE)

    state = one(return_state=True)
    assert "StageFailedError: count found the disk full. Free space where" in (state.message or "")
    assert "press Retry on the run in the Prefect UI" in (state.message or "")


@pytest.fixture
def only_gpu_slot(two_stages: Path) -> Iterator[UUID]:
    """The only slot of the limit on stages that use the GPU, held by somebody else."""
    set_limit("gpu", 1)
    with get_client(sync_client=True) as client:
        answer = client.increment_concurrency_slots_with_lease(["tag:gpu"], 1, "concurrency", lease_duration=300)
    yield UUID(answer.json()["lease_id"])
    set_limit("gpu", None)


def run_with_tag(tag: Resource | None, moments: list[str]) -> None:
    @count_stage(uses=tag)
    def count(context: StageContext) -> StageSummary:
        moments.append("stage")
        with fresh_directory(context.output) as directory:
            write_json(directory / "count.json", 1)
        return StageSummary(1, "one")

    @flow
    def one() -> Artifact:
        return count(HERE)

    one()


@pytest.fixture
def refused_a_slot(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when the server had no slot to give."""
    refused = threading.Event()
    increment = PrefectClient.increment_concurrency_slots_with_lease

    async def noticed(*arguments: Any, **options: Any) -> Any:
        try:
            return await increment(*arguments, **options)
        except httpx.HTTPStatusError:
            refused.set()
            raise

    monkeypatch.setattr(PrefectClient, "increment_concurrency_slots_with_lease", noticed)
    return refused


def test_a_stage_waits_for_a_slot_of_its_limit_and_a_cached_one_does_not(
    two_stages: Path, only_gpu_slot: UUID, refused_a_slot: threading.Event
) -> None:
    moments: list[str] = []

    def release() -> None:
        if refused_a_slot.wait(120):
            moments.append("released")
        with get_client(sync_client=True) as client:
            client.release_concurrency_slots_with_lease(only_gpu_slot)

    other = threading.Thread(target=contextvars.copy_context().run, args=(release,))  # the server is in the context
    other.start()
    run_with_tag("gpu", moments)
    other.join()
    assert moments == ["released", "stage"]
    with get_client(sync_client=True) as client:
        client.increment_concurrency_slots_with_lease(["tag:gpu"], 1, "concurrency", lease_duration=300)
    run_with_tag("gpu", moments)
    assert moments == ["released", "stage"], "found in the cache, while the slot is taken"


def test_nothing_waits_where_no_limit_is_defined(two_stages: Path, only_gpu_slot: UUID) -> None:
    moments: list[str] = []
    run_with_tag("api", moments)
    assert moments == ["stage"]
