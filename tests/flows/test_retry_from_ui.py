"""A deployed run fails three times and asks once; a person at a browser presses Retry and Resume.

Nothing that was finished runs again, and what was approved is not asked again.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.schemas.objects import StateType

from components.instructions.ledger.ledger import open_ledger
from components.instructions.ledger.totals import ledger_totals
from tests.flows.deployed_project import Deployed, browser_page, chromium, deployed, free_port, wait_for
from tests.flows.small_project import make_project
from tests.instruction_server import running_instruction_server

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.browser, pytest.mark.timeout(1800)]
FAULTS = Path(__file__).parent / "worker_faults"
CHOICE = ("embed", "reference", "instruct_reference", "reference_tune", "score", "cluster", "allocate", "select")
BEFORE_TUNE = sorted(("ingest", *CHOICE, "instruct_selection", "assemble"))
STAGES = sorted((*BEFORE_TUNE, "tune", "benchmark_base", "benchmark_tuned", "report"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    """Deployed; its checkout holds nothing that may not be lost."""
    chromium()
    base = tmp_path_factory.mktemp("deployed")
    root, shared = make_project(base / "checkout"), base / "shared"
    (shared / "faults").mkdir(parents=True)
    shutil.move(root / "pool", shared / "pool")
    (root / "pool").symlink_to(shared / "pool")
    config = root / ".dvc/config"
    config.write_text(config.read_text(encoding="utf-8").replace("../.presel/dvc-remote", str(shared / "remote")))
    port = free_port()
    variables = {
        "PRESEL_TEST_FAULTS": str(shared / "faults"),
        "PYTHONPATH": f"{FAULTS}:{root}",
        "PRESEL_TEST_KEY": "a-key",
        "PRESEL_TEST_ENDPOINT_PORT": str(port),
    }
    write_parameters(root, shared, port)
    with deployed(root, shared, variables) as running:
        yield running


@pytest.fixture(scope="module")
def page(project: Deployed) -> Iterator[Any]:
    with browser_page() as opened:
        yield opened


def write_parameters(root: Path, shared: Path, port: int) -> None:
    path = root / "params.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    values["baselines"] = []
    values["instructions"] |= {"provider": "openai", "model": "test-model"}
    values["instructions"]["ledger"] = f"sqlite:///{shared / 'ledger.sqlite'}"
    price = {"model": "test-model", "input_usd": 3.0, "output_usd": 6.0, "batch_factor": 0.5}
    values["purchase"] |= {
        "base_url": f"http://127.0.0.1:{port}/v1",
        "key_variable": "PRESEL_TEST_KEY",
        "approve_above_usd": 0.001,
        "requests_per_minute": 1e9,
        "tokens_per_minute": 1e12,
        "prices": [{**price, "image_tokens": {"fixed": 64}, "as_of": "2026-11-01"}],
    }
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


@contextlib.contextmanager
def endpoint(project: Deployed) -> Iterator[Any]:
    """What writes instructions, at the address that the parameters name."""
    pool, port = project.root / "pool", project.variables["PRESEL_TEST_ENDPOINT_PORT"]
    answers = ("--annotations", str(pool / "annotations.json"), "--images", str(pool / "images"))
    with running_instruction_server(*answers, "--key", "a-key", "--port", port) as running:
        yield running


def press_retry(project: Deployed, page: Any, run_id: Any) -> None:
    """What a person does: open the run, press Retry, confirm."""
    page.goto(f"{project.url}/runs/flow-run/{run_id}")
    page.get_by_role("button", name="Retry", exact=True).first.click()
    dialog = page.locator("[role=dialog], .p-modal__container").last
    dialog.get_by_role("button", name="Retry", exact=True).click()
    wait_for(lambda: project.run(run_id).state_name not in ("Failed", "Crashed"), "Retry was heard")


def approve(project: Deployed, page: Any, run_id: Any) -> None:
    """What a person does whom a run asks: press Resume, say yes and how much, submit."""
    page.goto(f"{project.url}/runs/flow-run/{run_id}")
    page.get_by_role("button", name="Resume", exact=True).first.click()
    dialog = page.locator("[role=dialog], .p-modal__container").last
    dialog.get_by_text("instruct_reference", exact=False).first.wait_for()
    dialog.locator("input[type=number]").fill("5")
    dialog.locator("input[type=checkbox]").evaluate("box => box.checked || box.click()")
    submit = dialog.get_by_role("button", name="Submit", exact=True)

    def heard() -> bool:
        """On a busy machine the form may not listen yet; a person presses again."""
        if submit.is_visible():
            submit.click()
            page.wait_for_timeout(3000)
        return project.run(run_id).state_name != "Suspended"

    wait_for(heard, "the answer was heard")


def empty_workspace(root: Path) -> None:
    """As a fresh clone of the project: what a run made is gone."""
    for name in ("data", ".presel", ".dvc/cache", ".dvc/tmp", "runs"):
        shutil.rmtree(root / name, ignore_errors=True)
    (root / "dvc.lock").unlink(missing_ok=True)


def failed(project: Deployed, run_id: Any, fault: str) -> str:
    """The message of a run that has failed; the fault is then gone."""
    message = project.wait_until(run_id, "Failed").state.message  # type: ignore[union-attr]
    (project.shared / "faults" / fault).unlink(missing_ok=True)
    return str(message)


def test_a_budget_that_cannot_be_meant_is_refused_before_a_run_exists(project: Deployed, page: Any) -> None:
    said = project.prefect("deployment", "run", "curate/curate", "-p", "budget=abc%")
    assert said.returncode == 1
    assert "Validation failed for field 'budget'" in said.stdout

    with project.client() as client:
        deployment = client.read_deployment_by_name("curate/curate")
    page.goto(f"{project.url}/deployments/deployment/{deployment.id}/run")
    form = page.locator("form")
    form.locator("textarea").nth(1).fill("abc%")
    form.get_by_text("A share (15%), a count (450) or dollars ($20)", exact=False).first.wait_for()
    page.get_by_role("button", name="Submit").click()
    page.get_by_text("does not match", exact=False).first.wait_for()
    assert project.runs_of("curate") == []


def test_a_run_goes_on_where_it_failed_or_waited(project: Deployed, page: Any) -> None:
    faults = project.shared / "faults"
    for fault in ("full_disk", "out_of_memory"):
        (faults / fault).touch()

    run_id = project.create_run("curate/curate", {"workspace": "."})
    message = failed(project, run_id, "full_disk")
    assert "StageFailedError: embed found the disk full. Free space" in message
    assert project.stages(run_id) == (["ingest"], [])
    assert project.run(run_id).name == "curate project 30% presel"

    press_retry(project, page, run_id)
    run = project.wait_until(run_id, "Suspended")
    assert run.state is not None
    assert run.state.type == StateType.PAUSED
    assert project.stages(run_id) == (["embed", "ingest", "reference"], ["ingest"])
    assert "80 images embedded, 40 known already" in project.log("worker")
    wait_for(lambda: not project.running(), "its process ends, and the worker is free")

    approve(project, page, run_id)
    message = failed(project, run_id, "none: nothing listens at the endpoint's port")
    assert "instruct_reference: 50 attempts in a row brought nothing usable; the last: connection" in message
    assert "look at http://127.0.0.1" in message

    empty_workspace(project.root)
    with endpoint(project) as server:
        press_retry(project, page, run_id)
        message = failed(project, run_id, "out_of_memory")
        assert server.accounts["received"] == 36
    assert "tune ran out of GPU memory. Lower tuning.batch_size (now 8)" in message
    assert project.stages(run_id)[0] == BEFORE_TUNE, "each once, although the workspace was emptied in between"

    project.stop("worker", "server")
    project.start_server()
    project.start_worker()
    press_retry(project, page, run_id)
    run = project.wait_until(run_id, "Completed")
    computed, found = project.stages(run_id)
    assert computed == STAGES, "every stage once over five processes"
    assert set(BEFORE_TUNE) <= set(found)
    assert "updates, continued at update 2" in project.log("worker")
    with open_ledger(f"sqlite:///{project.shared / 'ledger.sqlite'}") as ledger:
        assert ledger_totals(ledger).answered == 36


def test_the_run_s_pages_tables_and_bars_are_in_the_ui(project: Deployed, page: Any) -> None:
    with project.client() as client:
        kept = {(artifact.key, artifact.type) for artifact in client.read_artifacts(limit=200)}
    (run,) = project.runs_of("curate")
    assert {(stage.replace("_", "-"), "markdown") for stage in STAGES} <= kept, "of the report: a link, in Markdown"
    tables = ("score-importance", "allocate-allocation", "instruct-selection-cost", "benchmark-tuned-benchmark")
    assert {(name, "table") for name in tables} <= kept
    assert "progress" in {kind for _, kind in kept}
    page.goto(f"{project.url}/runs/flow-run/{run.id}")
    page.get_by_text("Artifacts", exact=True).first.click()
    page.get_by_text("score-importance", exact=True).first.wait_for()


def test_one_flow_run_is_one_run_in_mlflow(project: Deployed) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{project.shared / 'mlflow.db'}")
    (experiment,) = [found for found in client.search_experiments() if found.name == "presel"]
    runs = client.search_runs([experiment.experiment_id], "tags.`prefect.flow_run_id` != ''")
    assert [run.info.status for run in runs] == ["FINISHED"]
    assert runs[0].data.tags["presel.model_version"] == "small/1"
