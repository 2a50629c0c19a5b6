"""Loading a vision-language model, with or without a tuned adapter."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForImageTextToText, GenerationConfig, PreTrainedConfig
from transformers.distributed import DistributedConfig
from transformers.utils import GENERATION_CONFIG_NAME

from components.errors import UserError
from components.models.device import resolve_device, resolve_dtype
from components.models.vlm.conversation import ConversationTemplate, Message, TemplateError
from components.models.vlm.processor import load_processor, template_file
from components.models.vlm.special_cases import SUPPORTED, Architecture, describe_architecture
from components.models.weight_files import check_complete, check_weight_files
from components.parameters.parameters import VlmParameters

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
ADAPTER_WEIGHTS = "adapter_model.safetensors"
# Templates of Llama 3.2 and Mistral 3 write the date of the day. A run that goes on tomorrow has to train on the same
# prompts, so it is the day that Llama 3.2's writes where it cannot ask for one.
_DAY = datetime(2024, 7, 26, tzinfo=UTC)
_DATE = re.compile(r"""strftime_now\(\s*(["'])(.*?)\1\s*\)""")
# In how many ways transformers says that a file of a checkpoint is missing or does not fit the others.
_UNUSABLE = (OSError, ValueError, KeyError, IndexError, AttributeError, TypeError, ImportError, AssertionError)


class ModelError(UserError, ValueError):
    """A model cannot be loaded; the message says what to change."""


@dataclass(frozen=True, slots=True)
class LoadedVlm:
    """A vision-language model ready to train, score or generate; its own `components.models.vlm.source.VlmSource`.

    Attributes:
        model: in evaluation mode; with an adapter a `PeftModel`.
        processor: image processor and tokenizer.
        device: where the model is.
        dtype: of its weights.
        context_length: tokens of one sample at most, image tokens included.
        max_pixels: pixels (width x height) to which larger images are reduced; None: they are not.
        template: how conversations are written.
        architecture: what is special about the model.
    """

    model: Any
    processor: Any
    device: torch.device
    dtype: torch.dtype
    context_length: int
    max_pixels: int | None
    template: ConversationTemplate
    architecture: Architecture

    @property
    def bare_model(self) -> Any:
        """The transformers model; adapter layers, if any, sit inside it and are active."""
        from peft import PeftModel  # it takes seconds to import, and who only opens a model needs none

        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model

    def open(self) -> "LoadedVlm":
        """Itself."""
        return self

    def load(self) -> "LoadedVlm":
        """Itself."""
        return self

    @property
    def pad_token_id(self) -> int:
        """Id that fills short rows up; it is masked wherever it stands."""
        tokenizer = self.processor.tokenizer
        return int(tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id)


def load_vlm(parameters: VlmParameters, *, adapter: Path | None = None, shards: int = 1) -> LoadedVlm:
    """Load a model of a supported architecture: safetensors only, no code from the Hub.

    Args:
        parameters: section `vlm` of the parameters.
        adapter: folder of a peft adapter to put on the model.
        shards: processes that share the weights out among them (FSDP2), of which this is one; each gathers those of a
            layer when it is its turn.

    Returns:
        The model in evaluation mode.

    Raises:
        ModelError: the model, its revision, device or adapter is not there or not usable.
        TemplateError: its chat template cannot be used.
    """
    bare = open_vlm(parameters)
    with _named(parameters):
        model, found = AutoModelForImageTextToText.from_pretrained(
            parameters.model,
            dtype=bare.dtype,
            use_safetensors=True,
            output_loading_info=True,
            distributed_config=DistributedConfig(fsdp_size=shards) if shards > 1 else None,
            **_options(parameters),
        )
        check_complete(found)
    model.generation_config = _greedy(model.generation_config, bare.processor.tokenizer, bare.template)
    if adapter is not None:
        model = _load_adapter(model, adapter)
    if shards == 1:
        model = model.to(bare.device)  # a shard is there already
    return replace(bare, model=model.eval())


def open_vlm(parameters: VlmParameters) -> LoadedVlm:
    """Open a model without its weights: enough to encode for it, and to see how it is built.

    Args:
        parameters: section `vlm` of the parameters.

    Returns:
        The model, with weights that have shapes and no values.

    Raises:
        ModelError: the model, its revision or device is not there or not usable, or its architecture not supported.
        TemplateError: its chat template cannot be used.
    """
    _check_source(parameters)
    with _named(parameters):
        device = resolve_device(parameters.device, parameter="vlm.device")
        _check_architecture(parameters)
        config = AutoConfig.from_pretrained(parameters.model, **_options(parameters))
        _check_context_length(parameters, config)
        processor = load_processor(parameters.model, parameters.revision, config)
        with torch.device("meta"):
            model = AutoModelForImageTextToText.from_config(config)
    template = conversation_template(
        processor,
        arguments=parameters.template_arguments,
        origin=f"vlm.model {parameters.model!r}, {template_file(parameters.model)}",
    )
    template.frames(1)
    return LoadedVlm(
        model=model.eval(),
        processor=processor,
        device=device,
        dtype=resolve_dtype(parameters.dtype, device),
        context_length=parameters.context_length,
        max_pixels=parameters.max_pixels,
        template=template,
        architecture=describe_architecture(config, type(model)),
    )


def check_files(parameters: VlmParameters, opened: LoadedVlm) -> None:
    """See whether the files that `open_vlm` does not read can be loaded, from their heads.

    Args:
        parameters: section `vlm` of the parameters.
        opened: what `open_vlm` made of it.

    Raises:
        ModelError: one cannot.
    """
    with _named(parameters):
        check_weight_files(parameters.model, opened.model)
        if (Path(parameters.model) / GENERATION_CONFIG_NAME).is_file():
            GenerationConfig.from_pretrained(parameters.model)


def _options(parameters: VlmParameters) -> dict[str, Any]:
    return {"revision": parameters.revision, "trust_remote_code": False}


@contextmanager
def _named(parameters: VlmParameters) -> Iterator[None]:
    """Say of which model it is that something cannot be loaded."""
    try:
        yield
    except ModelError:
        raise
    except _UNUSABLE as error:
        said = str(error) if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {error}"
        raise ModelError(f"vlm.model {parameters.model!r} cannot be loaded: {said}") from error


def _check_architecture(parameters: VlmParameters) -> None:
    values, _ = PreTrainedConfig.get_config_dict(parameters.model, **_options(parameters))
    model_type = values.get("model_type")
    if model_type not in SUPPORTED:
        known = ", ".join(f"{name} ({family})" for name, family in SUPPORTED.items())
        raise ModelError(
            f"vlm.model {parameters.model!r}: the architecture {model_type!r} is not supported; supported are {known}"
        )


def _check_source(parameters: VlmParameters) -> None:
    model = parameters.model
    if Path(model).is_dir():
        if not (Path(model) / "config.json").is_file():
            raise ModelError(f"vlm.model: the folder {model!r} has no config.json; it is not a transformers model")
        if not any(Path(model).glob("*.safetensors")):
            raise ModelError(f"vlm.model: the folder {model!r} has no weights as safetensors; others are not opened")
        return
    if not _HUB_ID.fullmatch(model):
        raise ModelError(f"vlm.model: there is no folder {model!r}, and it is not a Hugging Face id (owner/name)")
    if parameters.revision is None:
        raise ModelError(
            f"vlm.model: there is no folder {model!r}; if it is a Hugging Face id, set vlm.revision to the git "
            "revision to use, so that runs can be repeated"
        )


def _check_context_length(parameters: VlmParameters, config: Any) -> None:
    longest = getattr(config.get_text_config(), "max_position_embeddings", None)
    if longest is not None and parameters.context_length > longest:
        raise ModelError(f"vlm.context_length {parameters.context_length} is above the model's {longest}")


def _load_adapter(model: Any, adapter: Path) -> Any:
    from peft import PeftModel

    if not (adapter / ADAPTER_WEIGHTS).is_file():
        raise ModelError(f"there is no adapter in {adapter}: {ADAPTER_WEIGHTS} is missing")
    try:
        return PeftModel.from_pretrained(model, str(adapter), is_trainable=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(f"the adapter in {adapter} does not fit the model: {error}") from error


def _greedy(published: GenerationConfig, tokenizer: Any, template: ConversationTemplate) -> GenerationConfig:
    """Greedy decoding that stops at any end the checkpoint, tokenizer or template knows.

    A checkpoint may come with sampling or a penalty on repetition, which would make answers differ from run to run.
    """
    ends = published.eos_token_id if isinstance(published.eos_token_id, list) else [published.eos_token_id]
    end_of_turn = tokenizer.convert_tokens_to_ids(template.end_of_turn.strip())
    known = {int(end) for end in [*ends, tokenizer.eos_token_id, end_of_turn] if end is not None}
    return GenerationConfig(do_sample=False, num_beams=1, use_cache=True, eos_token_id=sorted(known))


def conversation_template(
    processor: Any, *, arguments: Mapping[str, bool | int | float | str], origin: str
) -> ConversationTemplate:
    """The template by which a model's processor writes conversations.

    Args:
        processor: of the model.
        arguments: what the chat template is told besides the messages.
        origin: which template it is, for messages.

    Raises:
        TemplateError: it does not read an argument.
    """
    tokenizer = processor.tokenizer
    written = processor.chat_template
    source = str(written.get("default", "")) if isinstance(written, dict) else str(written or "")
    ignored = [name for name in arguments if not re.search(rf"\b{re.escape(name)}\b", source)]
    if ignored:
        raise TemplateError(
            f"{origin}: the chat template reads no {', '.join(ignored)} of template_arguments; correct the name, or "
            "take it out"
        )
    told: dict[str, object] = dict(arguments)
    dated = _DATE.sub(lambda date: repr(_DAY.strftime(date[2])), source)
    if dated != source:
        told["chat_template"] = dated

    def render(messages: list[Message], add_generation_prompt: bool) -> str:
        return str(processor.apply_chat_template(messages, add_generation_prompt=add_generation_prompt, **told))

    def tokenize(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])

    special = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    of_images = [identity for identity in processor.image_token_ids if identity is not None]
    return ConversationTemplate(
        render,
        tokenize,
        image_token=processor.image_token,
        special_tokens=[*special, *tokenizer.convert_ids_to_tokens(of_images)],
        end_of_sequence=tokenizer.eos_token,
        origin=origin,
    )
