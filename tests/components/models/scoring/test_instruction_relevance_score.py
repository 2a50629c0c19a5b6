"""The Instruction Relevance Score against a slow reference, and what is left out and why."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from components.compute.engine import Engine
from components.compute.local import LocalEngine
from components.compute.progress import no_progress
from components.models.scoring.instruction_relevance_score import (
    ScoreResult,
    instruction_relevance_score,
    score_samples,
)
from components.models.vlm.load import LoadedVlm
from components.models.vlm.source import VlmFiles
from components.pool.samples import InstructedImage, Turn
from components.schemas import SCORES
from tests.components.models.vlm.samples import PIXEL_LIMIT, draw_samples, load_toy, toy_parameters
from tests.shuffled_engine import ShuffledEngine

TINY_LLAVA = Path("demo/models/tiny-llava")


def score(vlm: LoadedVlm, samples: list[InstructedImage], *, batch_size: int) -> ScoreResult:
    return score_samples(
        vlm, samples, batch_size=batch_size, pixel_limit=PIXEL_LIMIT, progress=no_progress, engine=LocalEngine()
    )


def loss_of_texts(vlm: LoadedVlm, image: Image.Image, prompts_and_responses: list[tuple[str, str]]) -> float:
    """Mean loss of responses in a LLaVA conversation written by hand, one token at a time, by the processor alone."""
    text, losses = "", []
    for prompt, response in prompts_and_responses:
        text += prompt
        start = len(vlm.processor(images=[image], text=[text])["input_ids"][0])
        text += response
        inputs = vlm.processor(images=[image], text=[text], return_tensors="pt")
        ids = inputs["input_ids"]
        for position in range(start, ids.shape[1]):
            with torch.no_grad():
                logits = vlm.model(
                    input_ids=ids[:, :position],
                    attention_mask=torch.ones_like(ids[:, :position]),
                    pixel_values=inputs["pixel_values"],
                ).logits[0, -1]
            losses.append(-math.log(float(logits.double().softmax(-1)[ids[0, position]])))
    return math.fsum(losses) / len(losses)


def test_score_is_the_ratio_of_the_losses() -> None:
    assert instruction_relevance_score(1.5, 2.0) == 0.75
    assert instruction_relevance_score(0.0, 2.0) == 0.0
    for losses in ((1.0, 0.0), (math.nan, 1.0), (1.0, math.inf), (math.inf, 1.0)):
        assert math.isnan(instruction_relevance_score(*losses))


def test_one_turn_against_a_loop_over_tokens(vlm: LoadedVlm, tmp_path: Path) -> None:
    drawn = draw_samples(tmp_path, 1, seed=1)[0]
    sample = replace(drawn, turns=(Turn("What colour?", "It is red."),))
    image = Image.open(sample.uri).convert("RGB")
    row = score(vlm, [sample], batch_size=1).scores.to_pylist()[0]
    with_question = loss_of_texts(vlm, image, [("USER: <image>\nWhat colour? ASSISTANT:", " It is red.</s>")])
    without = loss_of_texts(vlm, image, [("USER: <image>\nASSISTANT:", " It is red.</s>")])
    assert row["loss_with_question"] == pytest.approx(with_question, abs=1e-5)
    assert row["loss_without_question"] == pytest.approx(without, abs=1e-5)
    assert row["instruction_relevance_score"] == pytest.approx(with_question / without, abs=1e-5)
    assert with_question != pytest.approx(without, abs=1e-4)


def test_several_turns_against_a_loop_over_tokens(vlm: LoadedVlm, tmp_path: Path) -> None:
    drawn = draw_samples(tmp_path, 1, seed=1)[0]
    sample = replace(drawn, turns=(Turn("What colour?", " It is red. "), Turn("Where?", "Left")))
    image = Image.open(sample.uri).convert("RGB")
    row = score(vlm, [sample], batch_size=1).scores.to_pylist()[0]
    with_question = loss_of_texts(
        vlm,
        image,
        [("USER: <image>\nWhat colour? ASSISTANT:", " It is red.</s>"), ("USER: Where? ASSISTANT:", " Left</s>")],
    )
    without = loss_of_texts(vlm, image, [("USER: <image>\nASSISTANT:", " It is red. Left</s>")])
    assert row["loss_with_question"] == pytest.approx(with_question, abs=1e-5)
    assert row["loss_without_question"] == pytest.approx(without, abs=1e-5)


def test_scores_do_not_depend_on_the_batch(vlm: LoadedVlm, tmp_path: Path) -> None:
    samples = draw_samples(tmp_path, 7, seed=5)
    alone, together = score(vlm, samples, batch_size=1), score(vlm, samples[::-1], batch_size=4)
    assert alone.scores.column("sample_id").to_pylist() == [sample.sample_id for sample in samples]
    for one, other in zip(alone.scores.to_pylist(), together.scores.to_pylist(), strict=True):
        assert one == pytest.approx(other, abs=2e-6)


def test_table_has_the_columns_of_the_schema(vlm: LoadedVlm, tmp_path: Path) -> None:
    assert score(vlm, draw_samples(tmp_path, 2, seed=5), batch_size=2).scores.schema == SCORES
    assert score(vlm, [], batch_size=2).scores.schema == SCORES


def test_what_is_left_out_is_counted(vlm: LoadedVlm, tmp_path: Path) -> None:
    good, empty, unreadable, long = draw_samples(tmp_path, 4, seed=5)
    empty = replace(empty, turns=(*empty.turns, Turn("And?", "  ")))
    Path(unreadable.uri).write_bytes(b"no image")
    long = replace(long, turns=(Turn("What?", "word " * 600),))
    result = score(vlm, [good, empty, unreadable, long], batch_size=4)
    assert result.scores.column("sample_id").to_pylist() == [good.sample_id]
    assert {item.sample_id: item.reason for item in result.dropped} == {
        empty.sample_id: "empty_response",
        unreadable.sample_id: "image_unreadable",
        long.sample_id: "truncated",
    }
    assert all(item.detail for item in result.dropped)
    expected = score(vlm, [good], batch_size=1).scores.to_pylist()[0]
    assert result.scores.to_pylist()[0] == pytest.approx(expected, abs=2e-6)


def test_changed_image_is_left_out(vlm: LoadedVlm, tmp_path: Path) -> None:
    changed = replace(draw_samples(tmp_path, 1, seed=5)[0], image_sha="0" * 64)
    dropped = score(vlm, [changed], batch_size=1).dropped
    assert [item.reason for item in dropped] == ["image_unreadable"]
    assert "sha256" in dropped[0].detail


def test_losses_that_are_not_finite_are_left_out(llava_folder: Path, tmp_path: Path) -> None:
    broken = load_toy(llava_folder)
    with torch.no_grad():
        broken.model.get_output_embeddings().weight.fill_(torch.nan)
    result = score(broken, draw_samples(tmp_path, 3, seed=5), batch_size=2)
    assert result.scores.num_rows == 0
    assert Counter(item.reason for item in result.dropped) == {"loss_not_finite": 3}


def test_progress_counts_every_sample(vlm: LoadedVlm, tmp_path: Path) -> None:
    samples = draw_samples(tmp_path, 3, seed=5)
    samples[0] = replace(samples[0], turns=(Turn("What?", ""),))
    seen: list[tuple[int, int]] = []
    score_samples(
        vlm,
        samples,
        batch_size=2,
        pixel_limit=PIXEL_LIMIT,
        progress=lambda done, total: seen.append((done, total)),
        engine=LocalEngine(),
    )
    assert seen == [(2, 3), (3, 3)]


def test_elsewhere_the_scores_are_the_same(llava_folder: Path, tmp_path: Path) -> None:
    samples = draw_samples(tmp_path, 6, seed=5)
    samples[4] = replace(samples[4], uri=str(tmp_path / "nowhere.png"))

    def scored(samples: list[InstructedImage], engine: Engine) -> ScoreResult:
        model = VlmFiles(toy_parameters(llava_folder))
        return score_samples(model, samples, batch_size=2, pixel_limit=PIXEL_LIMIT, progress=no_progress, engine=engine)

    here = scored(samples, LocalEngine())
    assert scored(samples, ShuffledEngine()) == here
    without = scored(samples, ShuffledEngine(lost={samples[1].uri}))
    assert {one.sample_id: one.reason for one in without.dropped} == {
        samples[1].sample_id: "decoder_died",
        samples[4].sample_id: "image_unreadable",
    }
    assert without.scores["sample_id"].to_pylist() == [samples[number].sample_id for number in (0, 2, 3, 5)]


@pytest.mark.skipif(not TINY_LLAVA.is_dir(), reason="run from a folder without the embedded models")
def test_embedded_model_scores(tmp_path: Path) -> None:
    samples = draw_samples(tmp_path, 6, seed=5)
    result = score(load_toy(TINY_LLAVA), samples, batch_size=6)
    assert result.scores.num_rows == len(samples)
    for row, sample in zip(result.scores.to_pylist(), samples, strict=True):
        # One byte is one token; every response has its end-of-turn token besides.
        assert row["response_tokens"] == sum(len(turn.response.encode()) + 1 for turn in sample.turns)
