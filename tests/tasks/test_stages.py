"""The cache key of every stage follows the code that decides its output, and no other."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from components.parameters.parameters import VlmParameters
from components.strategies.load import load_strategy
from components.strategies.names import STRATEGY_NAMES
from flows.environment import configure_environment
from flows.pipeline import pipeline_text
from tasks.platform.dvc_objects import open_repository
from tasks.platform.import_closure import code_of, does_not_decide
from tasks.platform.versioning import stage_key
from tasks.platform.workspace import Workspace
from tasks.stages import declarations_of, find_stage

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The code and a workspace of every strategy, with a file wherever a stage reads data; the working directory."""
    root = tmp_path_factory.mktemp("project")
    for name in ("components", "tasks"):
        shutil.copytree(CHECKOUT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(CHECKOUT / ".dvc", root / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "config.local"))
    shutil.copy(CHECKOUT / ".dvcignore", root)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    before, environment = Path.cwd(), dict(os.environ)
    for name in ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"):
        os.environ.pop(name, None)
    configure_environment(root)
    for strategy in STRATEGY_NAMES:
        lay_out(root / "runs" / strategy, pipeline_text(strategy, Path("runs", strategy)))
    yield root
    os.chdir(before)
    os.environ.clear()
    os.environ.update(environment)


def lay_out(folder: Path, pipeline: str) -> None:
    folder.mkdir(parents=True)
    (folder / "dvc.yaml").write_text(pipeline, encoding="utf-8")
    shutil.copy(CHECKOUT / "params.yaml", folder)
    stages = [stage.get("do", stage) for stage in yaml.safe_load(pipeline)["stages"].values()]
    read = {dep.replace("${item}", "random") for stage in stages for dep in stage["deps"] if dep.startswith("data/")}
    for path in sorted(read, reverse=True):  # what lies inside another first, which then is a folder
        if not (folder / path).exists():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text("data", encoding="utf-8")


def key_with(stage: Any, workspace: Workspace, changes: Sequence[Path]) -> str:
    """The stage's key after a byte has been added to files, which are then put back."""
    contents = {path: path.read_bytes() for path in changes}
    for path, content in contents.items():
        path.write_bytes(content + b"#")
    key = stage_key(stage, workspace)
    for path, content in contents.items():
        path.write_bytes(content)
    return key


def code_read_by(stage: Any, root: Path) -> list[str]:
    paths = [os.path.relpath(dependency.fs_path, root) for dependency in stage.deps]
    return [path for path in paths if path.startswith(("components/", "tasks/"))]


def test_the_key_of_every_stage_follows_its_code(project: Path) -> None:
    code = sorted(
        str(path.relative_to(project)) for name in ("components", "tasks") for path in (project / name).rglob("*.py")
    )
    seen: set[tuple[str, ...]] = set()
    random = Random(11)
    for strategy in STRATEGY_NAMES:
        workspace = Workspace(f"runs/{strategy}")
        with open_repository() as repository:
            stages = repository.stage.load_all(path=str(workspace.pipeline_file))
        for stage in stages:
            held = code_read_by(stage, project)
            if (stage.name, *held) in seen:
                continue
            seen.add((stage.name, *held))
            module = find_stage(strategy, stage.name).declaration.module.replace(".", "/") + ".py"
            key = stage_key(stage, workspace)
            under_tasks = [path for path in held if path.startswith("tasks/")]
            assert module in under_tasks
            path = random.choice(under_tasks)
            assert key_with(stage, workspace, [project / path]) != key, f"{stage.name} does not follow {path}"
            others = [project / path for path in random.sample([path for path in code if path not in held], 4)]
            assert key_with(stage, workspace, others) == key, f"{stage.name} follows what it does not import"
    assert len(seen) > len({stage.name for strategy in STRATEGY_NAMES for stage in declarations_of(strategy)})


@pytest.mark.parametrize("strategy", ["presel", "tive"])
def test_a_run_on_a_cluster_and_one_on_this_machine_find_what_the_other_has_cached(
    project: Path, strategy: str
) -> None:
    workspace = Workspace(f"runs/{strategy}")

    def keys() -> dict[str, str]:
        with open_repository() as repository:
            stages = repository.stage.load_all(path=str(workspace.pipeline_file))
            return {stage.addressing: stage_key(stage, workspace) for stage in stages}

    local, text = keys(), workspace.parameter_file.read_text(encoding="utf-8")
    changed = yaml.safe_load(text)
    changed["compute"] |= {"engine": "ray", "address": "auto", "task": {"cpus": 4}, "stalled_after_seconds": 60}
    workspace.parameter_file.write_text(yaml.safe_dump(changed), encoding="utf-8")
    on_ray = keys()
    workspace.parameter_file.write_text(text, encoding="utf-8")
    assert len(local) > 5
    assert on_ray == local


@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_what_decides_how_bytes_are_written_is_held(strategy: str) -> None:
    for stage in declarations_of(strategy):
        held = code_of(stage.module, strategy, root=CHECKOUT)
        assert {"components/storage.py", "components/schemas.py"} <= set(held), stage.name
        assert not [path for path in held if does_not_decide(path)]


def test_who_decides_whose_instruction_is_bought_and_how_many_is_held() -> None:
    """These are under tasks/, where a table of code kept by hand forgot them."""
    held = {stage.name: set(code_of(stage.module, "presel", root=CHECKOUT)) for stage in declarations_of("presel")}
    assert "tasks/bodies/budget.py" in held["allocate"]
    assert {"tasks/instruct.py", "tasks/bodies/buying.py"} <= held["instruct_selection"]
    assert "tasks/bodies/buying.py" in held["baseline_instruct"]


@pytest.mark.parametrize("strategy", STRATEGY_NAMES)
def test_who_asks_a_model_holds_all_that_decides_what_it_sees(strategy: str) -> None:
    """The size that images are reduced to, what the chat template is told, where a sample is cut."""
    of_model = {f"vlm.{name}" for name in VlmParameters.model_fields} - {"vlm.model", "vlm.revision"}
    with_weights = {"vlm.device", "vlm.dtype"}  # the first decides nothing, the second nothing without weights
    for stage in declarations_of(strategy):
        held = {name for name in stage.parameters_of(load_strategy(strategy)) if name.startswith("vlm.")}
        assert not held or of_model - with_weights <= held, stage.name
