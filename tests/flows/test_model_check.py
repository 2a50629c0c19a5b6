"""Images that the model cannot take are left out before anything is bought; a model that cannot be used is named."""

import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from flows.curate import curate
from flows.prepare_workspace import prepare_workspace
from tests.components.models.vlm.toy_architectures import save_toy_vlm
from tests.flows.command import presel
from tests.flows.small_project import CHECKOUT

pytestmark = pytest.mark.slow(30)


@pytest.fixture(scope="module")
def root(new_project: Path) -> Path:
    """A project in which nothing has run."""
    return new_project


def test_images_that_cannot_fit_are_left_out_and_named_by_plan(root: Path) -> None:
    Image.new("RGB", (700, 1), "red").save(root / "pool/images/strip.png")
    pool = root / "pool/pool.json"
    records = json.loads(pool.read_text(encoding="utf-8"))
    pool.write_text(json.dumps([*records, records[0] | {"id": "strip", "image": "strip.png"}]), encoding="utf-8")
    model = save_toy_vlm("qwen2_vl", root / "qwen2_vl")
    planned = presel(root, "plan", "--set", f"vlm.model={model}")
    assert planned.code == 0, planned.output
    said = " ".join(planned.stdout.split())
    assert "1 left out (1 refused_by_model)" in said
    assert "36 of 120 images may carry an instruction" in said
    whole = presel(root, "plan", "--set", "vlm.context_length=32")
    assert whole.code == 2, whole.output
    assert "(121 exceeds_context)" in " ".join(whole.output.split())
    assert "leaves none of vlm.context_length 32 for an instruction" in " ".join(whole.output.split())
    assert not (root / "data/manifest").exists(), "a plan writes no artifact"


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


def test_a_run_that_the_disk_has_no_room_for_ends_before_it_buys(root: Path) -> None:
    settings = ["strategy=tive", "tive.projection=1000000000000"]
    place = prepare_workspace(settings=settings, name="large")
    state = curate(place.root, annotate_pool=True, return_state=True)
    assert state.is_failed()
    assert re.search(
        r"runs/large/data( and \S+)* takes [\d,.]+ GB at least, and [\d,.]+ .B are free", str(state.message)
    )
    assert "Free space where the project" in str(state.message)
    assert not place.artifact("instructions").exists()
