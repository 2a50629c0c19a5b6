"""What the toy architectures are put together from: tokenizers, sizes, and how a checkpoint is written."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

LONGEST_CONTEXT = 2048

_TEXT_SAMPLE = [
    "USER: What colour is the circle? ASSISTANT: It is red and large.",
    "user assistant system You are a helpful assistant. User: How many shapes are there? Assistant: There are three.",
    "Is the square left of the triangle? Yes, the square is left of it. No, it is below.",
]


def text_size(tokenizer: PreTrainedTokenizerFast) -> dict[str, int]:
    """Configuration of a language model of two layers."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "max_position_embeddings": LONGEST_CONTEXT,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }


def vision_size() -> dict[str, int]:
    """Configuration of a vision tower of two layers that sees 4 x 4 patches."""
    return {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }


def byte_level_tokenizer(
    special_tokens: list[str], *, end: str, begin: str | None = None, **named: str
) -> PreTrainedTokenizerFast:
    """Byte-level BPE that joins a space with the word after it, like GPT-2's.

    Args:
        special_tokens: read as one token each.
        end: of a sequence.
        begin: of a sequence; templates write it where they want it.
        named: special tokens that a processor asks for by name, such as `image_token`.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(_TEXT_SAMPLE, trainer)
    begins = {} if begin is None else {"bos_token": begin}
    names = {"extra_special_tokens": named} if named else {}
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=end, pad_token="<|endoftext|>", **begins, **names
    )
    wrapped.add_special_tokens({"additional_special_tokens": special_tokens})
    return wrapped


def sentencepiece_like_tokenizer(special_tokens: list[str]) -> PreTrainedTokenizerFast:
    """BPE over words that begin with a visible space, one put before the text, and a start token, like Llama's."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    # Words are learnt one by one, so that no token goes across a space; later texts are not split up.
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<unk>", "<s>", "</s>", *byte_tokens], show_progress=False
    )
    tokenizer.train_from_iterator(_TEXT_SAMPLE, trainer)
    tokenizer.pre_tokenizer = None
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
    )
    wrapped.add_special_tokens({"additional_special_tokens": special_tokens})
    return wrapped


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write weights and tokenizer."""
    # Larger weights than at the start of training, so that texts and images move the loss visibly.
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_processor(folder: Path, template: str, **settings: object) -> None:
    """Write the processor's settings, and the chat template in a file of its own."""
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    (folder / "processor_config.json").write_text(json.dumps(settings), encoding="utf-8")
