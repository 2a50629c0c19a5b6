import pytest
import torch
from torch import nn

from components.models.features.attention_modules import attention_modules
from tests.components.models.features.conftest import with_lora


def test_one_per_decoder_layer_in_order(base):
    found = attention_modules(base.bare_model)
    assert len(found) == base.bare_model.config.get_text_config().num_hidden_layers
    assert [name.split(".")[-2] for name in found] == ["0", "1"]
    assert not any("vision" in name for name in found)


def test_lora_inside_changes_nothing(base):
    before = list(attention_modules(base.bare_model))
    assert list(attention_modules(with_lora(base).bare_model)) == before


def test_attention_alone_mixes_tokens(base):
    """What was found is attention: another first token changes what comes out for the last one."""
    attention = next(iter(attention_modules(base.bare_model).values()))
    seen = []
    handle = attention.register_forward_hook(lambda _module, _inputs, output: seen.append(output[0]))
    with torch.no_grad():
        for first in (5, 6):
            base.bare_model(input_ids=torch.tensor([[first, 7, 8]]), attention_mask=torch.ones(1, 3, dtype=torch.int64))
    handle.remove()
    assert not torch.equal(seen[0][0, -1], seen[1][0, -1])


def test_another_build_is_refused_by_name(base):
    model = base.bare_model
    layers = next(
        module for module in model.modules() if isinstance(module, nn.ModuleList) and hasattr(module[0], "self_attn")
    )
    model.config.get_text_config().num_hidden_layers = len(layers) + 5
    with pytest.raises(ValueError, match=type(model).__name__):
        attention_modules(model)
