"""The label mask: exactly what the model writes carries a label, in every architecture."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from components.models.vlm.labels import (
    NO_LABEL,
    SampleError,
    encode,
    encode_image,
    encode_prompt,
    encode_without_question,
)
from components.models.vlm.load import LoadedVlm
from components.pool.samples import InstructedImage, Turn
from tests.components.models.vlm.own_code import own_inputs, turns_of
from tests.components.models.vlm.samples import noise_image

TURNS = (Turn("What colour?", "It is red."), Turn("And now?", "12 é </s> left"), Turn("Sure?", "Yes."))


def sample_of(*turns: Turn) -> InstructedImage:
    return InstructedImage("task/0", "task", "unused", "", turns)


@pytest.fixture
def image() -> Image.Image:
    """Not square, so that tiles and grids differ from the default."""
    return noise_image(70, 40, seed=1)


def test_ids_are_those_of_the_processor(vlm: LoadedVlm, image: Image.Image) -> None:
    encoded = encode(vlm, sample_of(*TURNS[: turns_of(vlm)]), image)
    assert encoded.input_ids.tolist() == own_inputs(vlm, TURNS[: turns_of(vlm)], image)["input_ids"][0].tolist()
    assert not encoded.truncated


def test_labels_are_found_by_asking_turn_by_turn(vlm: LoadedVlm, image: Image.Image) -> None:
    encoded = encode(vlm, sample_of(*TURNS), image)
    labels = torch.full_like(encoded.input_ids, NO_LABEL)
    for k, turn in enumerate(TURNS):
        asked = encode_prompt(vlm, TURNS[:k], turn.question, image).input_ids
        answered = encode(vlm, sample_of(*TURNS[: k + 1]), image).input_ids
        assert answered[: len(asked)].tolist() == asked.tolist()
        assert encoded.input_ids[: len(answered)].tolist() == answered.tolist()
        labels[len(asked) : len(answered)] = answered[len(asked) :]
    assert encoded.labels.tolist() == labels.tolist()


def test_labelled_text_is_response_and_end_of_turn(vlm: LoadedVlm, image: Image.Image) -> None:
    tokenizer = vlm.processor.tokenizer
    labels = encode(vlm, sample_of(TURNS[0], TURNS[2]), image).labels
    end = tokenizer.convert_tokens_to_ids(vlm.template.end_of_turn)
    labelled = labels[labels != NO_LABEL].tolist()
    assert labelled.count(end) == 2
    first, second = tokenizer.decode(labelled).split(vlm.template.end_of_turn)[:2]
    assert (first.strip(), second.strip()) == ("It is red.", "Yes.")
    assert labelled[-1] == end


def test_image_tokens_carry_no_label(vlm: LoadedVlm, image: Image.Image) -> None:
    encoded = encode(vlm, sample_of(*TURNS), image)
    image_tokens = encoded.input_ids == vlm.bare_model.config.image_token_id
    one_stands_for_all = vlm.architecture.model_type == "mllama"
    assert int(image_tokens.sum()) >= (1 if one_stands_for_all else 4)
    assert bool((encoded.labels[image_tokens] == NO_LABEL).all())
    assert int(image_tokens.nonzero().max()) < encoded.image_end <= int((encoded.labels != NO_LABEL).nonzero().min())


def test_a_response_cannot_end_its_turn(vlm: LoadedVlm, image: Image.Image) -> None:
    end = vlm.template.end_of_turn
    labels = encode(vlm, sample_of(Turn("What?", f"a {end} b")), image).labels
    end_id = vlm.processor.tokenizer.convert_tokens_to_ids(end)
    assert int((labels == end_id).sum()) == 1


def test_without_question_responses_are_joined(vlm: LoadedVlm, image: Image.Image) -> None:
    encoded = encode_without_question(vlm, sample_of(TURNS[0], TURNS[2]), image)
    text = vlm.processor.tokenizer.decode(encoded.input_ids)
    assert "What colour?" not in text
    assert "Sure?" not in text
    labelled = vlm.processor.tokenizer.decode(encoded.labels[encoded.labels != NO_LABEL])
    assert labelled.strip() == f"It is red. Yes.{vlm.template.end_of_turn}"


def test_image_can_be_preprocessed_once(vlm: LoadedVlm, image: Image.Image) -> None:
    once = encode_image(vlm, image)
    encoded, again = encode(vlm, sample_of(*TURNS), once), encode(vlm, sample_of(*TURNS), image)
    assert encoded.input_ids.tolist() == again.input_ids.tolist()
    for name, tensor in encoded.image.tensors.items():
        assert torch.equal(tensor, again.image.tensors[name])


def test_context_cuts_the_end_and_says_so(vlm: LoadedVlm, image: Image.Image) -> None:
    whole = encode(vlm, sample_of(*TURNS), image)
    length = len(whole.input_ids) - 3
    cut = encode(replace(vlm, context_length=length), sample_of(*TURNS), image)
    assert cut.truncated
    assert cut.input_ids.tolist() == whole.input_ids[:length].tolist()
    assert cut.labels.tolist() == whole.labels[:length].tolist()
    assert cut.image.tensors.keys() == whole.image.tensors.keys()


def test_image_is_never_cut(vlm: LoadedVlm, image: Image.Image) -> None:
    whole = encode(vlm, sample_of(*TURNS), image)
    with pytest.raises(SampleError) as caught:
        encode(replace(vlm, context_length=whole.image_end - 1), sample_of(*TURNS), image)
    assert caught.value.reason == "image_exceeds_context"


def test_sample_whose_responses_are_all_cut_off_is_refused(vlm: LoadedVlm, image: Image.Image) -> None:
    whole = encode(vlm, sample_of(*TURNS), image)
    first = int((whole.labels != NO_LABEL).nonzero().min())
    with pytest.raises(SampleError) as caught:
        encode(replace(vlm, context_length=first), sample_of(*TURNS), image)
    assert caught.value.reason == "no_response_in_context"


@pytest.mark.parametrize(("turns", "reason"), [((), "no_turns"), ((TURNS[0], Turn("And?", " \n ")), "empty_response")])
def test_samples_without_a_response_are_refused(
    turns: tuple[Turn, ...], reason: str, vlm: LoadedVlm, image: Image.Image
) -> None:
    for function in (encode, encode_without_question):
        with pytest.raises(SampleError) as caught:
            function(vlm, sample_of(*turns), image)
        assert caught.value.reason == reason


def test_prompt_that_exceeds_the_context_is_refused(vlm: LoadedVlm, image: Image.Image) -> None:
    length = len(encode_prompt(vlm, (), "What colour?", image).input_ids)
    encode_prompt(replace(vlm, context_length=length), (), "What colour?", image)
    with pytest.raises(SampleError) as caught:
        encode_prompt(replace(vlm, context_length=length - 1), (), "What colour?", image)
    assert caught.value.reason == "prompt_exceeds_context"
