"""The small project after a first run of the whole pipeline: made once per session, copied for whoever needs it."""

import fcntl
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

from flows.curate import curate
from flows.outcome import CurationOutcome
from tests.flows.small_project import make_project
from tests.project_environment import prefect_results_in, project_environment


@dataclass(frozen=True, slots=True)
class StagesOfRun:
    """Names of stages by what became of them in a run."""

    computed: frozenset[str]
    found: frozenset[str]


@dataclass(frozen=True, slots=True)
class FirstRun:
    """The run that made the project.

    Attributes:
        root: the project as the run left it; only to be copied.
        stages: what it computed, and what it found.
        outcome: what it ended with.
    """

    root: Path
    stages: StagesOfRun
    outcome: CurationOutcome


def first_run(shared: Path) -> FirstRun:
    """The finished project below a folder that all workers of the session share; whoever asks first makes it.

    It has no controls, so that what is bought is what is chosen. A Prefect server has to be there.
    """
    made = shared / "finished.pickle"
    with (shared / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            root = shared / "finished"
            shutil.rmtree(root, ignore_errors=True)  # of a worker that died at it
            make_project(root, baselines=[])
            change_parameters(root, tuning={"batch_size": 16})  # a tune of few steps
            with working_in(root):
                state = curate(".", return_state=True)
                outcome = state.result()
                assert isinstance(outcome, CurationOutcome)
                made.write_bytes(pickle.dumps(FirstRun(root, stages_of_run(state), outcome)))
    run = pickle.loads(made.read_bytes())
    assert isinstance(run, FirstRun)
    return run


def stages_of_run(state: Any) -> StagesOfRun:
    """The stages of the flow run that ended in a state, in the project that is the working directory."""
    declared = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    with get_client(sync_client=True) as client:
        only = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
        task_runs = client.read_task_runs(flow_run_filter=only, limit=200)
    ended = {run.name: run.state_name for run in task_runs if run.name.partition("@")[0] in declared}
    computed, found = (frozenset(name for name in ended if ended[name] == how) for how in ("Completed", "Cached"))
    assert computed | found == ended.keys()
    return StagesOfRun(computed, found)


@contextmanager
def working_in(root: Path) -> Iterator[Path]:
    """A project as this process's place of work; a Prefect server has to be there."""
    with project_environment(root), prefect_results_in(root):
        # MLflow remembers by the id of a run where its files lie; copies of a project have the same runs elsewhere.
        from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

        _artifact_repos_cache.clear()
        yield root


def copy_project(finished: Path, root: Path) -> Path:
    """A finished project copied to another place, where what it keeps by absolute paths follows at its first use.

    DVC's index of the place stays behind; DVC makes another.
    """
    shutil.copytree(finished, root, symlinks=True, ignore=lambda folder, _: ["site"] if folder.endswith("/dvc") else [])
    return root


def change_parameters(root: Path, **changes: object) -> None:
    """Change parameters of a project: a section's keys, given as a dict, or a whole value."""
    path = root / "params.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name, change in changes.items():
        values[name] = {**values[name], **change} if isinstance(change, dict) else change
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
