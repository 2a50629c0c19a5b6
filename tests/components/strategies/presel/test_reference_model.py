from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from components.parameters.parameters import EpochParameters, TuningParameters, VlmParameters
from components.pool.samples import InstructedImage, Turn
from components.schemas import TUNED_ON
from components.strategies.presel.reference_model import (
    TunedModel,
    decide_retune,
    read_decision,
    read_tuned_model,
    tuned_model,
    write_tuned_model,
)

VALUES = yaml.safe_load((Path(__file__).parents[4] / "params.yaml").read_text(encoding="utf-8"))


def members(count, task="vqa", answer="yes"):
    return [
        InstructedImage(f"{task}/{at}", task, f"{at}.png", f"{at:064x}", (Turn("why?", answer),)) for at in range(count)
    ]


def described(samples, **changes):
    vlm = VlmParameters(**{**VALUES["vlm"], **changes.get("vlm", {})})
    tuning = TuningParameters(**{**VALUES["tuning"], **changes.get("tuning", {})})
    duration = EpochParameters(epochs=changes.get("epochs", 8))
    base, seed = changes.get("base", "weights"), changes.get("seed", 1)
    return tuned_model(samples, base=base, vlm=vlm, tuning=tuning, duration=duration, seed=seed)


NOTHING = TunedModel(TUNED_ON.empty_table(), "")


def test_the_first_model_is_tuned():
    decision = decide_retune(NOTHING, described(members(10)), share=0.2)
    assert decision.retune
    assert "no reference model" in decision.reason


@pytest.mark.parametrize(("count", "retune"), [(10, False), (12, False), (13, True), (8, False), (7, True)])
def test_members_that_joined_or_left_count(count, retune):
    decision = decide_retune(described(members(10)), described(members(count)), share=0.2)
    assert (decision.retune, decision.changed, decision.members) == (retune, abs(count - 10), count)


def test_a_member_with_another_instruction_counts_once():
    now = members(10)
    now[:3] = [replace(sample, turns=(Turn("why?", "no"),)) for sample in now[:3]]
    decision = decide_retune(described(members(10)), described(now), share=0.2)
    assert (decision.retune, decision.changed) == (True, 3)


def test_a_new_task_retunes_and_a_gone_one_counts_as_members_that_left():
    grown = decide_retune(described(members(50)), described(members(50) + members(1, "ocr")), share=0.2)
    assert grown.retune
    assert "ocr" in grown.reason
    assert not decide_retune(described(members(50) + members(1, "ocr")), described(members(50)), share=0.2).retune


@pytest.mark.parametrize(
    "changes", [{"base": "other weights"}, {"epochs": 9}, {"seed": 2}, {"tuning": {"lora_rank": 8}}]
)
def test_another_base_model_or_parameter_retunes(changes):
    decision = decide_retune(described(members(10)), described(members(10), **changes), share=0.2)
    assert decision.retune
    assert "parameters" in decision.reason


@pytest.mark.parametrize("changes", [{"vlm": {"device": "cuda"}}, {"tuning": {"checkpoint_every": 3, "log_every": 1}}])
def test_how_a_tune_is_run_does_not_matter(changes):
    assert not decide_retune(described(members(10)), described(members(10), **changes), share=0.2).retune


def test_what_it_was_tuned_on_counts_so_small_changes_add_up(tmp_path):
    model = described(members(10))
    for count in (11, 12):
        decision = decide_retune(model, described(members(count)), share=0.2)
        assert not decision.retune
        write_tuned_model(tmp_path, model, decision)
        model = read_tuned_model(tmp_path)
        assert read_decision(tmp_path) == decision
    assert decide_retune(model, described(members(13)), share=0.2).retune
