import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.modules.module import register_module_forward_pre_hook
from transformers import AutoModelForImageTextToText

from components.models.training.listener import DivergedError
from components.models.training.training_log import TrainingLogRow
from components.models.vlm.labels import encode
from components.models.vlm.load import load_vlm
from components.pool.samples import InstructedImage, Turn
from components.schemas import TRAINING_LOG
from components.storage import write_table
from tests.components.models.training.runs import assert_same_adapter, run, vlm_parameters, weights
from tests.components.models.vlm.samples import draw_samples
from tests.components.models.vlm.toy_architectures import ARCHITECTURES, EXAMPLES, save_toy_vlm

OTHERS = [name for name in ARCHITECTURES if name not in EXAMPLES]


def mean_token_loss(vlm, adapter: Path | None, samples) -> float:
    """Slow reference: one sample at a time, token by token."""
    loaded = load_vlm(vlm, adapter=adapter)
    total, tokens = 0.0, 0
    for sample in samples:
        with Image.open(sample.uri) as image:
            encoded = encode(loaded, sample, image.convert("RGB"))
        with torch.no_grad():
            logits = loaded.model(
                input_ids=encoded.input_ids[None],
                attention_mask=torch.ones_like(encoded.input_ids)[None],
                **encoded.image.tensors,
            ).logits[0]
        probabilities = logits.double().log_softmax(-1)
        for position in range(1, len(encoded.labels)):
            label = int(encoded.labels[position])
            if label != -100:
                total -= float(probabilities[position - 1, label])
                tokens += 1
    return total / tokens


@pytest.mark.parametrize("architecture", [*EXAMPLES, *(pytest.param(name, marks=pytest.mark.soak) for name in OTHERS)])
def test_tuning_lowers_the_loss(architecture: str, tmp_path: Path):
    folder = save_toy_vlm(architecture, tmp_path / "model")
    samples = draw_samples(tmp_path, 4, seed=7, turns=2)
    result = run(samples, tmp_path, vlm=vlm_parameters(folder), epochs=12)
    losses = result.log["loss"].to_pylist()
    assert (result.updates, result.resumed_at, result.samples, result.dropped) == (12, 0, 4, ())
    assert losses[-1] < losses[0] - 0.3


def test_the_loss_is_the_mean_over_the_response_tokens_and_the_adapter_carries_it(
    toy_llava: Path, eight_samples, tmp_path: Path
):
    vlm = vlm_parameters(toy_llava)
    result = run(eight_samples, tmp_path, vlm=vlm, epochs=6, batch_size=8)
    before = mean_token_loss(vlm, None, eight_samples)
    after = mean_token_loss(vlm, tmp_path / "adapter", eight_samples)
    losses = result.log["loss"].to_pylist()
    assert losses[0] == pytest.approx(before, abs=1e-4)  # B is zero at first: the base model's loss
    assert after < losses[-1] < before


def test_two_accumulated_batches_of_four_equal_one_of_eight(toy_llava: Path, eight_samples, tmp_path: Path):
    vlm = vlm_parameters(toy_llava)
    one = run(eight_samples, tmp_path / "one", vlm=vlm, epochs=3, batch_size=8)
    two = run(eight_samples, tmp_path / "two", vlm=vlm, epochs=3, batch_size=4, gradient_accumulation=2)
    assert one.updates == two.updates == 3
    np.testing.assert_allclose(one.log["loss"], two.log["loss"], atol=1e-4)
    np.testing.assert_allclose(one.log["gradient_norm"], two.log["gradient_norm"], rtol=1e-3)
    assert_same_adapter(tmp_path / "one", tmp_path / "two", tolerance=2e-4)


def test_recomputed_activations_change_nothing(toy_llava: Path, eight_samples, tmp_path: Path):
    vlm = vlm_parameters(toy_llava)
    calls = {"kept": 0, "recomputed": 0}
    for name in calls:

        def count(module, inputs, name=name):
            calls[name] += type(module).__name__ == "LlamaAttention"

        hook = register_module_forward_pre_hook(count)
        try:
            run(eight_samples, tmp_path / name, vlm=vlm, gradient_checkpointing=name == "recomputed")
        finally:
            hook.remove()
    assert calls["recomputed"] == 2 * calls["kept"] > 0
    assert_same_adapter(tmp_path / "kept", tmp_path / "recomputed", tolerance=1e-5)


def test_equal_seeds_give_equal_files(toy_llava: Path, eight_samples, tmp_path: Path):
    vlm = vlm_parameters(toy_llava)
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        result = run(eight_samples, tmp_path / name, vlm=vlm, seed=seed, lora_dropout=0.1)
        write_table(tmp_path / name / "training_log.parquet", result.log)
    for file in ("adapter/adapter_model.safetensors", "adapter/adapter_config.json", "training_log.parquet"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "again" / file).read_bytes()
    other = weights(tmp_path / "other")
    assert any(not torch.equal(tensor, other[name]) for name, tensor in weights(tmp_path / "first").items())


def test_the_adapter_is_small_and_says_what_it_belongs_to(toy_llava: Path, eight_samples, tmp_path: Path):
    run(eight_samples, tmp_path, vlm=vlm_parameters(toy_llava))
    folder = tmp_path / "adapter"
    assert sorted(path.name for path in folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(toy_llava)
    assert (config["r"], config["lora_alpha"], config["inference_mode"]) == (4, 8, True)
    assert config["target_modules"] == sorted(config["target_modules"])
    names = " ".join(weights(tmp_path))
    assert "language_model" in names
    assert "vision" not in names
    assert "projector" not in names
    assert not (tmp_path / "checkpoints").exists()


def test_peft_loads_the_adapter_in_two_lines(toy_llava: Path, eight_samples, tmp_path: Path):
    from peft import PeftModel

    run(eight_samples, tmp_path, vlm=vlm_parameters(toy_llava))
    model = AutoModelForImageTextToText.from_pretrained(toy_llava)
    model = PeftModel.from_pretrained(model, tmp_path / "adapter")
    loaded = {name: tensor for name, tensor in model.state_dict().items() if "lora_" in name}
    assert len(loaded) == len(weights(tmp_path))
    assert all(tensor.abs().sum() > 0 for tensor in loaded.values())


def test_metrics_come_while_it_runs(toy_llava: Path, eight_samples, tmp_path: Path):
    rows: list[TrainingLogRow] = []
    result = run(
        eight_samples,
        tmp_path,
        vlm=vlm_parameters(toy_llava),
        epochs=2.5,
        batch_size=2,
        log_every=4,
        warmup_ratio=0.2,
        on_log=rows.append,
    )
    assert result.updates == 10
    assert [row.step for row in rows] == [4, 8, 10]  # the last one always
    assert [row.epoch for row in rows] == [1.0, 2.0, 2.5]
    assert all(row.samples_per_second > 0 and row.gradient_norm > 0 for row in rows)
    assert rows[0].learning_rate > rows[1].learning_rate > rows[2].learning_rate > 0
    assert result.log.schema == TRAINING_LOG
    assert result.log["loss"].to_pylist() == [row.loss for row in rows]


def test_the_constant_schedule_is_constant(toy_llava: Path, eight_samples, tmp_path: Path):
    result = run(eight_samples, tmp_path, vlm=vlm_parameters(toy_llava), schedule="constant")
    assert result.log["learning_rate"].to_pylist() == [0.01, 0.01]


def test_unusable_samples_are_counted(toy_llava: Path, eight_samples, tmp_path: Path):
    first, second, third = eight_samples[:3]
    missing = InstructedImage("task/missing", "task", str(tmp_path / "none.png"), "", first.turns)
    changed = InstructedImage("task/changed", "task", first.uri, "0" * 64, first.turns)
    silent = InstructedImage("task/silent", "task", first.uri, "", (Turn("What?", " "),))
    long = InstructedImage("task/long", "task", second.uri, "", (Turn("What?", "far too long " * 400),))
    result = run([first, missing, changed, silent, long, third], tmp_path, vlm=vlm_parameters(toy_llava))
    assert (result.samples, result.truncated) == (3, 1)
    assert {item.sample_id: item.reason for item in result.dropped} == {
        "task/missing": "missing",
        "task/changed": "changed",
        "task/silent": "empty_response",
    }


def test_nothing_to_tune_on_is_an_error(toy_llava: Path, eight_samples, tmp_path: Path):
    with pytest.raises(ValueError, match="there are no samples to tune on"):
        run([], tmp_path, vlm=vlm_parameters(toy_llava))
    silent = InstructedImage("task/a", "task", eight_samples[0].uri, "", (Turn("What?", ""),))
    with pytest.raises(ValueError, match=r"not one of the 2 samples.*'empty_response': 2.*task/a"):
        run([silent, silent], tmp_path, vlm=vlm_parameters(toy_llava))
    assert not (tmp_path / "adapter").exists()


def test_modules_that_are_not_there_are_an_error(toy_llava: Path, eight_samples, tmp_path: Path):
    with pytest.raises(ValueError, match=r"tuning.target_modules \['nowhere'\]"):
        run(eight_samples, tmp_path, vlm=vlm_parameters(toy_llava), target_modules=["nowhere"])


def test_a_diverging_run_stops_and_leaves_nothing_to_continue_from(toy_llava: Path, eight_samples, tmp_path: Path):
    with pytest.raises(DivergedError, match=r"lower tuning.learning_rate \(now 1e\+30\)"):
        run(
            eight_samples,
            tmp_path,
            vlm=vlm_parameters(toy_llava),
            epochs=4,
            learning_rate=1e30,
            checkpoint_every=1,
            log_every=2,
        )
    assert not (tmp_path / "adapter").exists()
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.bfloat16
@pytest.mark.skipif(
    not (torch.cpu.get_capabilities().get("avx512_bf16") or torch.cpu.get_capabilities().get("amx_bf16")),
    reason="this CPU has no bfloat16 instructions",
)
def test_auto_computes_in_bfloat16_on_a_cpu_that_can(toy_llava: Path, eight_samples, tmp_path: Path):
    exact = run(eight_samples, tmp_path / "exact", vlm=vlm_parameters(toy_llava))
    rough = run(eight_samples, tmp_path / "rough", vlm=vlm_parameters(toy_llava, dtype="auto"))
    np.testing.assert_allclose(rough.log["loss"], exact.log["loss"], rtol=0.02)
    assert rough.log["loss"] != exact.log["loss"]
    assert all(tensor.dtype == torch.float32 for tensor in weights(tmp_path / "rough").values())
