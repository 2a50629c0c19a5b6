"""Loading a model's processor with Pillow's image processing, complete with chat template, without torchvision."""

from pathlib import Path
from typing import Any

from transformers import (
    PROCESSOR_MAPPING,
    AutoImageProcessor,
    AutoTokenizer,
    Idefics3Processor,
    PreTrainedConfig,
)

from components.models.vlm.pixtral_processor import PixtralProcessor
from components.models.vlm.special_cases import DEFAULT_TEMPLATES

_TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json", "processor_config.json", "tokenizer_config.json")


def load_processor(source: str, revision: str | None, config: PreTrainedConfig) -> Any:
    """Load a model's processor with its Pillow image processor, complete with chat template.

    Of a processor that takes videos or sounds as well only the parts for images and text are built: the others want
    packages that images do not need.

    Args:
        source: folder or Hugging Face id.
        revision: git revision of a Hub model.
        config: the model's configuration, of a supported architecture.

    Returns:
        The processor.

    Raises:
        ValueError: its chat template is empty, or none is known for it, or its tokenizer has no fast form.
        OSError: files are missing.
    """
    options = {"revision": revision, "trust_remote_code": False}
    parts: dict[str, Any] = {
        "image_processor": AutoImageProcessor.from_pretrained(source, backend="pil", **options),
        "tokenizer": AutoTokenizer.from_pretrained(source, **options),
    }
    if not parts["tokenizer"].is_fast:
        raise ValueError("its tokenizer has no tokenizer.json, which says which token stands for which characters")
    kind = _processor_class(config)
    settings, _ = kind.get_processor_dict(source, revision=revision)
    processor = _tolerating_missing_parts(kind).from_args_and_dict(
        [parts.get(name) for name in kind.get_attributes()], settings
    )
    _complete(processor, config)
    return processor


def template_file(source: str) -> str:
    """Where a model's chat template is written, for messages.

    Args:
        source: folder or Hugging Face id.

    Returns:
        A file of the folder; of a Hub model the names that the file may have.
    """
    folder = Path(source)
    for name in _TEMPLATE_FILES:
        file = folder / name
        if file.is_file() and (name.startswith("chat") or '"chat_template"' in file.read_text(encoding="utf-8")):
            return str(file)
    return f"one of {', '.join(_TEMPLATE_FILES)} of {source}"


def _processor_class(config: PreTrainedConfig) -> Any:
    if config.vision_config.model_type == "pixtral":  # Pixtral and Mistral 3
        return PixtralProcessor
    if config.model_type == "smolvlm":
        # Its own class wants num2words, for videos only; Idefics3's expands images into the same tokens.
        return Idefics3Processor
    return PROCESSOR_MAPPING[type(config)]


def _tolerating_missing_parts(kind: Any) -> Any:
    def check(self: Any, name: str, part: Any) -> Any:
        return None if part is None else kind.check_argument_for_proper_class(self, name, part)

    return type(kind.__name__, (kind,), {"check_argument_for_proper_class": check})


def _complete(processor: Any, config: PreTrainedConfig) -> None:
    if "" in (processor.chat_template, processor.tokenizer.chat_template):
        # Another would take its place, and a run would not be of the model that is in the folder.
        raise ValueError("its chat template is empty; write one or take the file away")
    if processor.chat_template is None:
        processor.chat_template = processor.tokenizer.chat_template or DEFAULT_TEMPLATES.get(config.model_type)
    if processor.chat_template is None:
        raise ValueError(f"the {config.model_type} model has no chat template; add a chat_template.jinja to its folder")
    if config.model_type == "llava" and getattr(processor, "patch_size", 0) is None:
        # Older checkpoints leave to the model what the processor needs to count image tokens.
        processor.patch_size = config.vision_config.patch_size
        processor.vision_feature_select_strategy = config.vision_feature_select_strategy
        processor.num_additional_image_tokens = int("clip" in config.vision_config.model_type)
