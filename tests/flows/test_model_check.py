"""A run whose model cannot take the pool's images, or cannot be opened at all, stops before anything is computed."""

import json
import shutil
from pathlib import Path

import pytest

from tests.flows.command import presel
from tests.flows.small_project import CHECKOUT

pytestmark = pytest.mark.slow(30)


@pytest.fixture(scope="module")
def root(new_project: Path) -> Path:
    """A project in which nothing has run."""
    return new_project


def test_plan_says_what_an_image_takes(root: Path) -> None:
    planned = presel(root, "plan")
    assert planned.code == 0, planned.output
    assert "of the 512 tokens of vlm.context_length." in " ".join(planned.stdout.split())
    assert "presel run would stop" not in planned.stdout


def test_images_that_cannot_fit_are_named_by_plan_and_stop_a_run(root: Path) -> None:
    short = ("--set", "vlm.context_length=32")
    planned = presel(root, "plan", *short)
    assert planned.code == 0, planned.output
    said = " ".join(planned.stdout.split())
    assert "presel run would stop: 120 of 120 images leave no token of vlm.context_length 32" in said
    ran = presel(root, "run", "--name", "short", *short)
    assert ran.code == 1, ran.output
    assert "120 of 120 images leave no token of vlm.context_length 32" in " ".join(ran.output.split())
    assert "Traceback" not in ran.output
    assert (root / "runs/short/data/manifest").exists()
    assert not (root / "runs/short/data/vectors").exists(), "nothing was computed"
    assert not (root / "runs/short/data/instructions").exists(), "nothing was bought"


@pytest.mark.parametrize("strategy", ["presel", "coincide"])
def test_a_model_that_cannot_be_used_is_named_by_plan(strategy: str, root: Path) -> None:
    key = "vlm.model" if strategy == "presel" else "coincide.model"
    model = root / f"other-{strategy}"
    shutil.copytree(CHECKOUT / "demo/models/tiny-llava", model)
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    (model / "config.json").write_text(json.dumps(config | {"model_type": "blip-2"}), encoding="utf-8")
    planned = presel(root, "plan", "--strategy", strategy, "--set", f"{key}={model}")
    assert planned.code == 2, planned.output
    said = " ".join(planned.output.split())
    assert "the architecture 'blip-2' is not supported; supported are aya_vision (Aya Vision)" in said
    assert "Traceback" not in planned.output
