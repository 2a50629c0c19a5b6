"""What can be known of a model is known before anything is bought, and the weights are not needed for it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText

from components.errors import UserError
from components.models.check import ModelCheckError, check_read_model, check_tuned_model
from components.models.images_out_of_place import images_out_of_place
from components.models.vlm.load import open_vlm
from components.models.vlm.special_cases import SUPPORTED
from components.parameters.parameters import TuningParameters
from components.parameters.reading import load_parameters
from tests.components.models.training.runs import vlm_parameters
from tests.components.models.vlm.toy_architectures import ARCHITECTURES, save_toy_vlm

pytestmark = pytest.mark.slow(15)

ROOT = Path(__file__).resolve().parents[3]
TUNING = load_parameters(ROOT / "params.yaml").tuning


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_vlm("qwen2_vl", tmp_path_factory.mktemp("qwen2_vl"))


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    """A model that a test may change."""
    return Path(shutil.copytree(folder, tmp_path / "copied"))


def check(folder: Path, *, tuning: TuningParameters = TUNING, **changes: object) -> None:
    check_tuned_model(vlm_parameters(folder, **changes), tuning, scored=True)


def test_of_the_weights_only_the_heads_are_read(copied: Path) -> None:
    file = copied / "model.safetensors"
    data = file.read_bytes()
    head = 8 + int.from_bytes(data[:8], "little")
    file.write_bytes(data[:head] + b"\xff" * (len(data) - head))  # not one number
    check(copied)


DAMAGES: dict[str, tuple[Callable[[bytes], bytes | None], str]] = {
    "cut off": (lambda data: data[:-1000], "is not whole"),
    "empty": (lambda data: b"", "is not whole"),
    "half a head": (lambda data: data[:100], "is not whole"),
    "a pointer": (lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "a page": (lambda data: b"<!DOCTYPE html><html><body>not found</body></html>", "is a web page"),
    "gone": (lambda data: None, "no weights as safetensors"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_weights_that_are_not_whole_are_named(copied: Path, damage: str) -> None:
    file = copied / "model.safetensors"
    change, message = DAMAGES[damage]
    left = change(file.read_bytes())
    file.unlink()
    if left is not None:
        file.write_bytes(left)
    with pytest.raises(UserError, match=message):
        check(copied)


def test_weights_in_several_files_of_which_one_is_missing_are_named(copied: Path) -> None:
    (copied / "model.safetensors").rename(copied / "model-00001-of-00002.safetensors")
    index = copied / "model.safetensors.index.json"
    names = ["model-00001-of-00002.safetensors"]
    index.write_text(json.dumps({"weight_map": dict(enumerate(names))}), encoding="utf-8")
    check(copied)
    names.append("model-00002-of-00002.safetensors")
    index.write_text(json.dumps({"weight_map": dict(enumerate(names))}), encoding="utf-8")
    with pytest.raises(UserError, match=r"model-00002-of-00002\.safetensors is not there"):
        check(copied)


def test_a_model_that_is_larger_than_its_files_is_named(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text(encoding="utf-8"))
    config["text_config"]["intermediate_size"] *= 2
    (copied / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UserError, match=r"its files hold [\d,]+ numbers, and its config.json describes a model of"):
        check(copied)


def test_a_broken_generation_config_is_named(copied: Path) -> None:
    (copied / "generation_config.json").write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match=r"generation_config\.json"):
        check(copied)


def test_a_template_for_one_turn_or_for_questions_alone_is_named(copied: Path) -> None:
    template = copied / "chat_template.jinja"
    text = template.read_text(encoding="utf-8")
    template.write_text(
        "{% if messages | length > 2 %}{{ raise_exception('one turn only') }}{% endif %}" + text, encoding="utf-8"
    )
    with pytest.raises(UserError, match="one turn only"):
        check(copied)
    template.write_text(
        "{% if messages[0]['content'] | length < 2 %}{{ raise_exception('ask') }}{% endif %}" + text, encoding="utf-8"
    )
    with pytest.raises(UserError, match="TemplateError: ask"):
        check(copied)
    check_tuned_model(vlm_parameters(copied), TUNING, scored=False)


def test_an_architecture_that_is_not_supported_is_named_with_those_that_are(copied: Path) -> None:
    config = json.loads((copied / "config.json").read_text(encoding="utf-8"))
    for other in ("git", "blip-2", "qwen3_5", "never_heard_of"):
        (copied / "config.json").write_text(json.dumps(config | {"model_type": other}), encoding="utf-8")
        with pytest.raises(UserError, match=other) as caught:
            check(copied)
        assert all(f"{name} ({family})" in str(caught.value) for name, family in SUPPORTED.items())


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (
            "{% for message in messages %}{{ message['role'] + ': ' + message['content'] }}{% endfor %}",
            "TypeError: .*list",
        ),
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{% for message in messages %}{{ message['content'] }", "TemplateSyntaxError"),
        (
            "{% for message in messages %}{{ message['content'] | trim }}{% endfor %}",
            "list of parts as if it were a text",
        ),
        ("{{ messages[0].content.strip() }}", "UndefinedError|has no attribute"),
    ],
    ids=["text expected", "refuses", "syntax", "a list is written", "undefined"],
)
def test_a_template_that_cannot_be_used_is_named_with_its_file_and_what_is_expected(
    template: str, said: str, copied: Path
) -> None:
    (copied / "chat_template.jinja").write_text(template, encoding="utf-8")
    with pytest.raises(UserError, match=said) as caught:
        check(copied)
    assert str(copied / "chat_template.jinja") in str(caught.value)
    assert "content is a list of parts" in str(caught.value)


@pytest.mark.parametrize("name", ["qwen2_vl", "llava"])  # of LLaVA a template is known
def test_an_empty_template_is_none_that_another_takes_the_place_of(name: str, tmp_path: Path) -> None:
    copied = save_toy_vlm(name, tmp_path / name)
    (copied / "chat_template.jinja").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="its chat template is empty"):
        check(copied)


def test_a_rank_that_no_layer_can_have_is_named_with_the_highest(copied: Path) -> None:
    sides = [
        min(layer.in_features, layer.out_features)
        for name, layer in AutoModelForImageTextToText.from_pretrained(copied).model.language_model.named_modules()
        if isinstance(layer, torch.nn.Linear)
    ]
    check(copied, tuning=TUNING.model_copy(update={"lora_rank": max(sides)}))
    too_high = TUNING.model_copy(update={"lora_rank": max(sides) + 1})
    with pytest.raises(UserError, match=rf"tuning\.lora_rank {max(sides) + 1}: .* set {max(sides)} or less"):
        check(copied, tuning=too_high)


def test_thoughts_are_turned_off_by_a_template_argument(copied: Path) -> None:
    template = copied / "chat_template.jinja"
    before, _, _ = template.read_text(encoding="utf-8").partition("{% if add_generation_prompt %}")
    opening = "{{ '<think>\n' if enable_thinking is not defined or enable_thinking else '<think>\n\n</think>\n\n' }}"
    template.write_text(
        before + "{% if add_generation_prompt %}<|im_start|>assistant\n" + opening + "{% endif %}", encoding="utf-8"
    )
    with pytest.raises(UserError, match=r"vlm\.template_arguments.*enable_thinking: false"):
        check(copied)
    check(copied, template_arguments={"enable_thinking": False})


@pytest.mark.parametrize("name", ["enable_thinkin", "tokenize", "continue_final_message"])
def test_an_argument_that_the_chat_template_does_not_read_is_named(folder: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"reads no {name} of template_arguments"):
        check(folder, template_arguments={name: True})


@pytest.mark.parametrize(
    "fails",
    ["[].index(0)", "1 / 0", "'{:d}'.format('a')", "range(10 ** 9)", "'' + []", "none.x.y", "raise_exception('no')"],
)
def test_a_chat_template_that_fails_is_named_whatever_it_raises(copied: Path, fails: str) -> None:
    template = copied / "chat_template.jinja"
    template.write_text(f"{{{{ {fails} }}}}" + template.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(UserError, match=r"chat_template\.jinja cannot be rendered"):
        check(copied)


def test_a_chat_template_writes_the_same_date_on_every_day(copied: Path) -> None:
    template = copied / "chat_template.jinja"
    dates = (
        "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }} {{- strftime_now( \"%Y-%m-%d\" ) }}{% endif %}"
    )
    template.write_text(dates + template.read_text(encoding="utf-8"), encoding="utf-8")
    opening = open_vlm(vlm_parameters(copied)).template.frames(1)[0].before_question
    assert opening.startswith("26 Jul 20242024-07-26")


def test_layers_that_are_not_there_are_named(folder: Path) -> None:
    with pytest.raises(UserError, match=r"tuning\.target_modules \['nowhere'\]"):
        check(folder, tuning=TUNING.model_copy(update={"target_modules": ("nowhere",)}))
    with pytest.raises(ModelCheckError, match=r"layer 7, and .* has layers 0 to 1"):
        check_read_model(vlm_parameters(folder), (0, 7))
    check_read_model(vlm_parameters(folder), (0, 1))


def test_a_processor_that_does_not_belong_to_the_model_is_named(copied: Path, tmp_path: Path) -> None:
    other = save_toy_vlm("gemma4", tmp_path / "gemma4")
    shutil.copy(other / "preprocessor_config.json", copied / "preprocessor_config.json")
    with pytest.raises(UserError, match="Qwen2VLProcessor with Gemma4ImageProcessorPil cannot encode an image"):
        check(copied)


@pytest.mark.parametrize("missing", ["preprocessor_config.json", "tokenizer.json", "config.json"])
def test_a_missing_file_is_one_sentence(missing: str, copied: Path) -> None:
    (copied / missing).unlink()
    with pytest.raises(UserError, match=str(copied)):
        check(copied)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_supported_architecture_passes(architecture: str, tmp_path: Path) -> None:
    folder = save_toy_vlm(architecture, tmp_path)
    check_tuned_model(vlm_parameters(folder), TUNING, scored=True)
    check_read_model(vlm_parameters(folder), (0, 1))
    assert images_out_of_place(vlm_parameters(folder), {(64, 48), (30, 90), (200, 200)}) == {}
