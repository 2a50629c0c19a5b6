"""Whether a processor's image tokens fit the model is told without weights, as the first forward would tell it."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from components.errors import UserError
from components.models.check import check_tuned_model
from components.models.vlm.collate import collate
from components.models.vlm.image_fit import an_image_encoded
from components.models.vlm.image_inputs import ProcessorError
from components.models.vlm.image_tokens import ImageTokensError, check_image_tokens
from components.models.vlm.labels import SampleError
from components.models.vlm.load import open_vlm
from components.parameters.reading import load_parameters
from tests.components.models.training.runs import vlm_parameters
from tests.components.models.vlm.samples import load_toy
from tests.components.models.vlm.toy_architectures import ARCHITECTURES

pytestmark = pytest.mark.slow(15)

ROOT = Path(__file__).resolve().parents[4]
FILES = ("processor_config.json", "preprocessor_config.json")
# All settings of a processor that decide how many tokens an image takes, or how it is cut into patches.
SETTINGS = {
    "downsample_factor",
    "image_seq_len",
    "image_seq_length",
    "merge_size",
    "num_additional_image_tokens",
    "num_image_tokens",
    "patch_size",
    "pooling_kernel_size",
    "spatial_merge_size",
    "temporal_patch_size",
}
AN_IMAGE = (64, 48)


def doubled(folder: Path, target: Path) -> list[Path]:
    """The model once for every such setting, which is twice what it was."""
    changed = []
    for name in FILES:
        values = json.loads((folder / name).read_text(encoding="utf-8")) if (folder / name).exists() else {}
        for setting in sorted(SETTINGS & values.keys()):
            given = values[setting]
            twice = {side: 2 * length for side, length in given.items()} if isinstance(given, dict) else 2 * given
            model = Path(shutil.copytree(folder, target / f"{name}-{setting}"))
            (model / name).write_text(json.dumps(values | {setting: twice}), encoding="utf-8")
            changed.append(model)
    return changed


def forward_fails(folder: Path) -> bool:
    vlm = load_toy(folder)
    batch = collate(vlm, [an_image_encoded(vlm, AN_IMAGE)])
    try:
        with torch.no_grad():
            vlm.model(**batch)
    except (RuntimeError, ValueError, IndexError):
        return True
    return False


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_the_first_forward_refuses_is_refused_without_weights(architecture, toy_vlm, tmp_path):
    folder = toy_vlm(architecture)
    for model in (folder, *doubled(folder, tmp_path)):
        opened = open_vlm(vlm_parameters(model))
        try:
            sample = an_image_encoded(opened, AN_IMAGE)
        except (SampleError, ProcessorError):
            continue  # that is said before
        try:
            check_image_tokens(opened, sample)
        except ImageTokensError:
            assert forward_fails(model), f"{model} can be used"
        else:
            assert not forward_fails(model), f"{model} cannot be used"


def test_the_check_of_a_model_says_what_does_not_fit(toy_vlm, tmp_path):
    folder = toy_vlm("llava")
    tuning = load_parameters(ROOT / "params.yaml").tuning
    (model,) = [one for one in doubled(folder, tmp_path) if one.name.endswith("-patch_size")]
    with pytest.raises(UserError, match=r"writes 4 image tokens where the model has 16 features .* patch_size"):
        check_tuned_model(vlm_parameters(model), tuning, scored=False)
