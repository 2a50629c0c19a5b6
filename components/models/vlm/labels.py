"""The label mask: which tokens of a conversation carry a loss. Training and scoring both take it from here.

A token carries a label exactly if the model writes it when it answers: the tokens of the responses, their end-of-turn
tokens included. Questions, image tokens and what the chat template writes around them carry none.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from PIL import Image

from components.models.vlm.conversation import ConversationText
from components.models.vlm.image_inputs import ImageInputError, ImageInputs, preprocess_image, within_pixels
from components.models.vlm.load import LoadedVlm
from components.models.vlm.special_cases import text_after_image
from components.pool.samples import InstructedImage, Turn

NO_LABEL = -100  # what torch's cross entropy leaves out


class SampleError(ValueError):
    """A sample cannot be encoded.

    Attributes:
        reason: `no_turns`, `empty_response`, `image_refused`, `image_exceeds_context`, `no_response_in_context`,
            `response_joined_to_prompt` or, of a prompt, `prompt_exceeds_context` or `decoder_died`; for counting.
        detail: what exactly, for a person.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)  # what it is made of, so that it can be pickled
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclass(frozen=True, slots=True)
class EncodedSample:
    """One conversation as the model takes it, unpadded.

    Attributes:
        input_ids: (tokens,), int64.
        labels: (tokens,), int64; `NO_LABEL` but for response tokens, where it is the token's own id.
        image: the image's arguments.
        image_end: tokens up to and including the last one of the image.
        first_response: tokens before the first response, or all where there is none.
        truncated: tokens were cut from the end to fit the context.
    """

    input_ids: torch.Tensor
    labels: torch.Tensor
    image: ImageInputs
    image_end: int
    first_response: int
    truncated: bool

    @property
    def response_tokens(self) -> int:
        """Number of tokens that carry a label."""
        return int((self.labels != NO_LABEL).sum())


def without_labels(sample: EncodedSample) -> EncodedSample:
    """The same sample with no token that carries a loss."""
    return replace(sample, labels=torch.full_like(sample.labels, NO_LABEL), first_response=len(sample.input_ids))


def encode(vlm: LoadedVlm, sample: InstructedImage, image: Image.Image | ImageInputs) -> EncodedSample:
    """Encode a sample with its questions, as it is trained on (Eq. 1 of arXiv 2503.07591).

    Args:
        vlm: the model.
        sample: the conversation.
        image: its image, RGB, or what `encode_image` made of it.

    Returns:
        Ids, labels and image.

    Raises:
        SampleError: the sample cannot be used.
    """
    _check_responses(sample)
    return _encode(vlm, vlm.template.conversation(sample.turns), image)


def encode_without_question(vlm: LoadedVlm, sample: InstructedImage, image: Image.Image | ImageInputs) -> EncodedSample:
    """Encode a sample's responses, joined by one space, as the answer to the image alone (Eq. 2).

    Args:
        vlm: the model.
        sample: the conversation.
        image: its image, RGB, or what `encode_image` made of it.

    Returns:
        Ids, labels and image.

    Raises:
        SampleError: the sample cannot be used.
    """
    _check_responses(sample)
    joined = Turn(question="", response=" ".join(turn.response.strip() for turn in sample.turns))
    return _encode(vlm, vlm.template.conversation([joined], with_question=False), image)


def encode_prompt(
    vlm: LoadedVlm, history: Sequence[Turn], question: str, image: Image.Image | ImageInputs
) -> EncodedSample:
    """Encode a prompt that the model is to answer; nothing in it carries a label, and nothing is cut off.

    Args:
        vlm: the model.
        history: the turns before.
        question: what is asked.
        image: the image, RGB, or what `encode_image` made of it.

    Returns:
        Ids and image.

    Raises:
        SampleError: the prompt does not fit the context.
    """
    encoded = _encode(vlm, vlm.template.prompt(history, question), image, labelled=False)
    if encoded.truncated:
        raise SampleError(
            "prompt_exceeds_context", f"the prompt is longer than vlm.context_length {vlm.context_length}"
        )
    return encoded


def encode_image(vlm: LoadedVlm, image: Image.Image) -> ImageInputs:
    """Preprocess an image once for several encodings.

    Raises:
        SampleError: the processor refuses the image.
        ProcessorError: the processor cannot be used with this model.
    """
    try:
        return preprocess_image(
            vlm.processor, within_pixels(image, vlm.max_pixels), arguments=vlm.architecture.arguments
        )
    except ImageInputError as error:
        raise SampleError("image_refused", str(error)) from error


def _check_responses(sample: InstructedImage) -> None:
    if not sample.turns:
        raise SampleError("no_turns", "the sample has no turn")
    empty = [k for k, turn in enumerate(sample.turns) if not turn.response.strip()]
    if empty:
        raise SampleError("empty_response", f"the response of turn {empty[0] + 1} is empty")


def _encode(
    vlm: LoadedVlm, conversation: ConversationText, image: Image.Image | ImageInputs, *, labelled: bool = True
) -> EncodedSample:
    inputs = image if isinstance(image, ImageInputs) else encode_image(vlm, image)
    tokenizer, placeholder = vlm.processor.tokenizer, vlm.template.image_token
    before, _, following = conversation.text.partition(placeholder)
    between = text_after_image(vlm.architecture, following, begin=tokenizer.bos_token)
    text = before + inputs.expansion + between + following
    shift = len(inputs.expansion) + len(between) - len(placeholder)
    spans = [(start + shift, stop + shift) for start, stop in conversation.response_spans]

    has_start = tokenizer.bos_token is not None and tokenizer.bos_token in text
    tokens = tokenizer(text, add_special_tokens=not has_start, return_offsets_mapping=True)
    input_ids = torch.tensor(tokens["input_ids"], dtype=torch.int64)  # (tokens,)
    offsets = torch.tensor(tokens["offset_mapping"], dtype=torch.int64)  # (tokens, 2)
    written = offsets[:, 1] > offsets[:, 0]  # (tokens,); the tokenizer's own additions stand for no text
    image_end = _stop(written & (offsets[:, 0] < len(before) + len(inputs.expansion)))
    if image_end > vlm.context_length:
        raise SampleError(
            "image_exceeds_context",
            f"prompt and image take {image_end} tokens, vlm.context_length is {vlm.context_length}",
        )
    labels = _labels(input_ids, offsets, written, spans) if labelled else torch.full_like(input_ids, NO_LABEL)
    if labelled and not bool((labels[: vlm.context_length] != NO_LABEL).any()):
        raise SampleError(
            "no_response_in_context",
            f"of {len(input_ids)} tokens the first {vlm.context_length} (vlm.context_length) hold no response",
        )
    first = _stop(written & (offsets[:, 0] < spans[0][0])) if spans else len(input_ids)
    return EncodedSample(
        input_ids=input_ids[: vlm.context_length],
        labels=labels[: vlm.context_length],
        image=inputs,
        image_end=image_end,
        first_response=min(first, vlm.context_length),
        truncated=len(input_ids) > vlm.context_length,
    )


def _stop(tokens: torch.Tensor) -> int:
    """One past the last of the tokens that are meant; (tokens,), bool."""
    return int(tokens.nonzero().max()) + 1


def _labels(
    input_ids: torch.Tensor, offsets: torch.Tensor, written: torch.Tensor, spans: Sequence[tuple[int, int]]
) -> torch.Tensor:
    labels = torch.full_like(input_ids, NO_LABEL)
    for start, stop in spans:
        inside = written & (offsets[:, 0] < stop) & (offsets[:, 1] > start)
        across = inside & ((offsets[:, 0] < start) | (offsets[:, 1] > stop))
        if bool(across.any()):
            raise SampleError(
                "response_joined_to_prompt",
                "the tokenizer joins the beginning or end of a response with the template around it",
            )
        labels[inside] = input_ids[inside]
    return labels
