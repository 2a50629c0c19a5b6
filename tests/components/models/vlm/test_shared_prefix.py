"""One pass for both losses gives what two passes give."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from components.models.vlm.labels import encode, encode_image, encode_without_question
from components.models.vlm.load import LoadedVlm
from components.models.vlm.shared_prefix import PairLoss, QuestionPair, pair_losses, separate_pair_losses
from tests.components.models.vlm.samples import draw_samples


@pytest.fixture
def pairs(vlm: LoadedVlm, tmp_path: Path) -> list[QuestionPair]:
    encoded = []
    for sample in draw_samples(tmp_path, 5, seed=11):
        image = encode_image(vlm, Image.open(sample.uri).convert("RGB"))
        encoded.append(QuestionPair(encode(vlm, sample, image), encode_without_question(vlm, sample, image)))
    return encoded


def values(losses: list[PairLoss]) -> list[float]:
    return [loss.mean for pair in losses for loss in (pair.with_question, pair.without_question)]


def token_embedding_calls(vlm: LoadedVlm, pairs: list[QuestionPair]) -> int:
    calls: list[torch.Size] = []
    embeddings = vlm.model.get_input_embeddings()
    hook = embeddings.register_forward_hook(lambda _module, _inputs, output: calls.append(output.shape))
    pair_losses(vlm, pairs)
    hook.remove()
    return len(calls)


def test_shared_pass_gives_the_losses_of_separate_passes(vlm: LoadedVlm, pairs: list[QuestionPair]) -> None:
    shared, separate = values(pair_losses(vlm, pairs)), values(separate_pair_losses(vlm, pairs))
    assert shared == pytest.approx(separate, abs=2e-6)
    # The question moves every loss by far more than the tolerance, so a leak between the branches would show.
    gaps = [abs(one - other) for one, other in zip(separate[::2], separate[1::2], strict=True)]
    assert min(gaps) > 1e-4


def test_shared_pass_does_not_depend_on_the_batch(vlm: LoadedVlm, pairs: list[QuestionPair]) -> None:
    alone = [value for pair in pairs for value in values(pair_losses(vlm, [pair]))]
    assert values(pair_losses(vlm, pairs)) == pytest.approx(alone, abs=2e-6)


def test_one_forward_pass_serves_both_losses(vlm: LoadedVlm, pairs: list[QuestionPair]) -> None:
    assert token_embedding_calls(vlm, pairs) == 1


def test_architecture_that_cannot_share_takes_two_passes(vlm: LoadedVlm, pairs: list[QuestionPair]) -> None:
    alone = replace(vlm, architecture=replace(vlm.architecture, shares_prefix=False))
    assert token_embedding_calls(alone, pairs) == 2
    assert values(pair_losses(alone, pairs)) == values(separate_pair_losses(vlm, pairs))
