"""Loading: what cannot be loaded is named, and what is loaded behaves the same everywhere."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import GenerationConfig

from components.models.device import resolve_dtype
from components.models.vlm.collate import collate
from components.models.vlm.labels import encode
from components.models.vlm.language_model import language_model_linear_names
from components.models.vlm.load import LoadedVlm, ModelError, load_vlm
from components.models.vlm.response_loss import response_losses
from components.parameters.parameters import VlmParameters
from components.pool.samples import InstructedImage, Turn
from tests.components.models.vlm.samples import draw_samples, load_toy, noise_image


@pytest.fixture
def llava(toy_vlm: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of the toy LLaVA that a test may change."""
    return Path(shutil.copytree(toy_vlm("llava"), tmp_path / "llava"))


def parameters(model: str, **changes: object) -> VlmParameters:
    values = {
        "model": model,
        "revision": None,
        "context_length": 512,
        "max_pixels": None,
        "template_arguments": {},
        "device": "cpu",
        "dtype": "auto",
        **changes,
    }
    return VlmParameters.model_validate(values)


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        ("no such folder", "no folder 'no such folder'"),
        ("owner/name", "vlm.revision"),
        ("a/b/c", "not a Hugging Face id"),
    ],
)
def test_model_that_is_not_there_is_named(model: str, complaint: str) -> None:
    with pytest.raises(ModelError, match=complaint):
        load_vlm(parameters(model))


def test_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"config\.json"):
        load_vlm(parameters(str(tmp_path)))


def test_pickled_weights_are_refused(llava: Path) -> None:
    (llava / "model.safetensors").unlink()
    torch.save({}, llava / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        load_vlm(parameters(str(llava)))


def test_weights_that_are_lacking_are_not_drawn_at_random(llava: Path) -> None:
    weights = load_file(llava / "model.safetensors")
    lost = next(name for name in weights if name.endswith("q_proj.weight") and "language" in name)
    save_file({name: tensor for name, tensor in weights.items() if name != lost}, llava / "model.safetensors")
    with pytest.raises(ModelError, match=r"lack 1 of the weights.*q_proj"):
        load_toy(llava)


def test_code_that_comes_with_a_model_is_not_run(llava: Path) -> None:
    config = json.loads((llava / "config.json").read_text(encoding="utf-8"))
    config |= {"model_type": "unheard_of", "auto_map": {"AutoConfig": "code.Config"}}
    (llava / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (llava / "code.py").write_text("raise SystemExit('this ran')", encoding="utf-8")
    with pytest.raises(ModelError):
        load_vlm(parameters(str(llava)))


def test_context_above_the_models_is_refused(llava: Path) -> None:
    with pytest.raises(ModelError, match=r"vlm\.context_length 4096 is above the model's 2048"):
        load_vlm(parameters(str(llava), context_length=4096))


def test_missing_gpu_is_named(llava: Path) -> None:
    with pytest.raises(ModelError, match="'cuda:99'"):
        load_vlm(parameters(str(llava), device="cuda:99"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_auto_is_bfloat16_on_a_gpu_and_losses_are_near_those_of_full_precision(llava: Path, tmp_path: Path) -> None:
    (sample,) = draw_samples(tmp_path, 1, seed=3, turns=1)
    losses = {}
    for device in ("cpu", "cuda"):
        vlm = load_vlm(parameters(str(llava), device=device))
        losses[device] = response_losses(vlm, [encode(vlm, sample, Image.open(sample.uri).convert("RGB"))])[0].mean
    assert vlm.dtype == torch.bfloat16
    assert vlm.device.type == "cuda"
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=0.02)


def test_auto_is_full_precision_on_a_cpu(llava: Path) -> None:
    vlm = load_vlm(parameters(str(llava)))
    assert vlm.dtype == torch.float32
    assert {parameter.dtype for parameter in vlm.model.parameters()} == {torch.float32}
    assert not vlm.model.training
    assert resolve_dtype("auto", torch.device("cuda")) == torch.bfloat16


def test_lower_precision_can_be_asked_for(llava: Path) -> None:
    vlm = load_vlm(parameters(str(llava), dtype="bfloat16"))
    sample = InstructedImage("task/0", "task", "unused", "", (Turn("What?", "A circle."),))
    loss = response_losses(vlm, [encode(vlm, sample, noise_image(40, 30, seed=1))])[0]
    exact = load_toy(llava)
    expected = response_losses(exact, [encode(exact, sample, noise_image(40, 30, seed=1))])[0]
    assert loss.mean == pytest.approx(expected.mean, rel=0.05)


def test_images_are_processed_with_pillow(vlm: LoadedVlm) -> None:
    assert type(vlm.processor.image_processor).__name__.endswith("Pil")


def test_answers_are_greedy_whatever_the_checkpoint_says(llava: Path) -> None:
    published = GenerationConfig(do_sample=True, temperature=2.0, repetition_penalty=1.3, eos_token_id=[1, 2])
    published.save_pretrained(llava)
    config = load_toy(llava).model.generation_config
    assert config.do_sample is False
    assert config.repetition_penalty is None
    assert {1, 2} <= set(config.eos_token_id)


def test_llava_without_a_template_gets_its_own(llava: Path) -> None:
    expected = load_toy(llava).template.conversation([Turn("What?", "Red."), Turn("Sure?", "Yes.")])
    (llava / "chat_template.jinja").unlink()
    assert load_toy(llava).template.conversation([Turn("What?", "Red."), Turn("Sure?", "Yes.")]) == expected


def test_old_llava_processor_is_completed_from_the_model(llava: Path) -> None:
    expected = load_toy(llava).processor(images=[Image.new("RGB", (40, 40))], text=["<image>"])
    settings = {"processor_class": "LlavaProcessor"}
    (llava / "processor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    found = load_toy(llava).processor(images=[Image.new("RGB", (40, 40))], text=["<image>"])
    assert found["input_ids"] == expected["input_ids"]


def test_model_without_any_template_is_named(toy_vlm: Callable[[str], Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(toy_vlm("idefics3"), tmp_path / "idefics3"))
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match=r"chat_template\.jinja"):
        load_toy(folder)


def test_adapter_is_put_on_the_model(vlm: LoadedVlm, toy_vlm: Callable[[str], Path], tmp_path: Path) -> None:
    folder = toy_vlm(vlm.architecture.model_type)
    sample = InstructedImage("task/0", "task", "unused", "", (Turn("What?", "A circle."),))
    tuned = load_toy(folder)
    names = language_model_linear_names(tuned.model)
    peft_model = get_peft_model(tuned.model, LoraConfig(r=4, target_modules=names))
    with torch.no_grad():
        for name, parameter in peft_model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.05)
    peft_model.save_pretrained(tmp_path)
    with_adapter = load_toy(folder, adapter=tmp_path)
    image = noise_image(40, 30, seed=1)
    losses = [response_losses(one, [encode(one, sample, image)])[0].mean for one in (vlm, with_adapter)]
    assert abs(losses[0] - losses[1]) > 1e-3
    expected = float(peft_model.eval()(**collate(with_adapter, [encode(with_adapter, sample, image)])).loss.detach())
    assert losses[1] == pytest.approx(expected, abs=1e-5)


def test_missing_adapter_is_named(llava: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors is missing"):
        load_toy(llava, adapter=tmp_path)


def test_adapter_of_another_model_is_named(llava: Path, toy_vlm: Callable[[str], Path], tmp_path: Path) -> None:
    other = load_toy(toy_vlm("idefics3"))
    names = language_model_linear_names(other.model)
    get_peft_model(other.model, LoraConfig(r=4, target_modules=names)).save_pretrained(tmp_path / "adapter")
    with pytest.raises(ModelError, match="does not fit the model"):
        load_toy(llava, adapter=tmp_path / "adapter")
