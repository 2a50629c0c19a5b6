"""The attention modules of a language model, found by how the model is built and not by what its parts are called."""

import inspect
from typing import Any

from torch import nn

from components.models.vlm.language_model import language_model_path


def attention_modules(model: Any) -> dict[str, nn.Module]:
    """The attention module of every decoder layer of the language model, in layer order.

    The language model is the module around the token embeddings; its decoder layers are the one list of as many
    blocks as its configuration has layers; in a block, attention is the child that takes an attention mask, because it
    alone looks at more than one token. The vision tower is outside.

    Args:
        model: a transformers model for image-text-to-text; peft layers may sit inside it.

    Returns:
        By full name.

    Raises:
        ValueError: the model is not built like that.
    """
    scope = language_model_path(model)
    depth = int(model.config.get_text_config().num_hidden_layers)
    lists = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and name.startswith(scope) and len(module) == depth
    ]
    if len(lists) != 1:
        names = [name for name, _ in lists]
        raise ValueError(f"{type(model).__name__}: {len(lists)} lists of {depth} decoder layers {names}, expected one")
    name, layers = lists[0]
    found: dict[str, nn.Module] = {}
    for number, layer in enumerate(layers):
        takers = [(child, module) for child, module in layer.named_children() if _takes_mask(module)]
        if len(takers) != 1:
            children = [child for child, _ in takers]
            raise ValueError(f"{type(model).__name__}: layer {number} has attention modules {children}, expected one")
        found[f"{name}.{number}.{takers[0][0]}"] = takers[0][1]
    return found


def _takes_mask(module: nn.Module) -> bool:
    return "attention_mask" in inspect.signature(module.forward).parameters
