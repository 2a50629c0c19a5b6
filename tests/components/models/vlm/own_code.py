"""The slow reference: a model as transformers' own processor, forward and generate use it, one sample at a time."""

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from components.models.vlm.load import LoadedVlm
from components.pool.samples import Turn


def turns_of(vlm: LoadedVlm) -> int:
    """Turns that the model's own processor can write: PaliGemma's knows a prompt and its answer, no conversation."""
    return 1 if vlm.architecture.model_type == "paligemma" else 3


def own_inputs(vlm: LoadedVlm, turns: Sequence[Turn], image: Image.Image, *, answered: bool = True) -> dict[str, Any]:
    """All that the processor makes of a conversation; what it is given is the text as the chat template renders it.

    Args:
        vlm: the model; only its processor is used, and the text of its template, which has tests of its own.
        turns: of the conversation.
        image: RGB.
        answered: with the last response.
    """
    if vlm.architecture.model_type == "paligemma":
        (turn,) = turns
        suffix = {"suffix": [turn.response]} if answered else {}
        outputs = vlm.processor(images=[image], text=[f"<image>{turn.question}"], return_tensors="pt", **suffix)
        return {name: value for name, value in outputs.items() if name != "labels"}
    prompt = vlm.template.prompt(turns[:-1], turns[-1].question)
    text = vlm.template.conversation(turns).text if answered else prompt.text
    begin = vlm.processor.tokenizer.bos_token
    # As `apply_chat_template` does when it tokenizes.
    special = begin is None or begin not in text
    return dict(vlm.processor(images=[image], text=[text], add_special_tokens=special, return_tensors="pt"))


def own_inputs_without_question(vlm: LoadedVlm, response: str, image: Image.Image, *, answered: bool) -> dict[str, Any]:
    """The same of a response to the image alone."""
    if vlm.architecture.model_type == "paligemma":
        return own_inputs(vlm, [Turn("", response)], image, answered=answered)
    whole = vlm.template.conversation([Turn("", response)], with_question=False)
    text = whole.text if answered else whole.text[: whole.response_spans[0][0]]
    begin = vlm.processor.tokenizer.bos_token
    special = begin is None or begin not in text
    return dict(vlm.processor(images=[image], text=[text], add_special_tokens=special, return_tensors="pt"))


def own_labels(vlm: LoadedVlm, turns: Sequence[Turn], image: Image.Image) -> torch.Tensor:
    """Ids of the responses, found by asking turn by turn, and -100 elsewhere: (1, tokens)."""
    ids = own_inputs(vlm, turns, image)["input_ids"]
    labels = torch.full_like(ids, -100)
    for k in range(len(turns)):
        start = own_inputs(vlm, turns[: k + 1], image, answered=False)["input_ids"].shape[1]
        stop = own_inputs(vlm, turns[: k + 1], image)["input_ids"].shape[1]
        labels[:, start:stop] = ids[:, start:stop]
    return labels


def own_loss(model: Any, inputs: dict[str, Any], labels: torch.Tensor) -> torch.Tensor:
    """The mean loss per labelled token that the model's own logits give."""
    logits = model(**inputs).logits
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())
