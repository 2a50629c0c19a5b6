"""What can be known of the models of a run before anything is bought or computed."""

from collections.abc import Sequence

from components.errors import UserError
from components.models.features.activations import NoSuchLayerError, chosen_attention
from components.models.vlm.conversation import TemplateError
from components.models.vlm.image_fit import an_image_encoded
from components.models.vlm.image_inputs import ProcessorError
from components.models.vlm.image_tokens import ImageTokensError, check_image_tokens
from components.models.vlm.labels import SampleError
from components.models.vlm.language_model import LanguageModelError, check_rank, lora_targets
from components.models.vlm.load import LoadedVlm, ModelError, check_files, open_vlm
from components.parameters.parameters import TuningParameters, VlmParameters

_AN_IMAGE = (640, 480)  # pixels


class ModelCheckError(UserError, ValueError):
    """A model cannot do what this run wants of it; the message says what to change."""


def check_tuned_model(vlm: VlmParameters, tuning: TuningParameters, *, scored: bool) -> None:
    """See whether the model that is tuned can be.

    Processor, chat template (with one turn and with two), the arguments of the model and the layers that LoRA is put
    on are looked at, and an image is encoded, whose tokens have to be as many as its features; of the weights only the
    heads of their files are read.

    Args:
        vlm: section `vlm` of the parameters.
        tuning: section `tuning`.
        scored: conversations are also written without their questions, for the Instruction Relevance Score.

    Raises:
        ModelError: the model cannot be opened, or its architecture is not supported.
        TemplateError: its chat template cannot be used.
        ProcessorError: its processor cannot be used with it.
        LanguageModelError: it has no such layers, or none that the rank can be put on.
        ModelCheckError: it takes no image.
    """
    opened = open_vlm(vlm)
    check_files(vlm, opened)
    opened.template.frames(2)
    if scored:
        opened.template.frames(1, with_question=False)
    check_rank(opened.model, lora_targets(opened.model, tuning.target_modules), tuning.lora_rank)
    _encode_an_image(opened)


def check_read_model(vlm: VlmParameters, layers: Sequence[int]) -> None:
    """See whether a model whose activations are read can be.

    Args:
        vlm: section `vlm` of the parameters, with the model that is read.
        layers: decoder layers, from 0.

    Raises:
        ModelCheckError: it cannot be opened, takes no image, or has no such layers.
    """
    try:
        opened = open_vlm(vlm)
        check_files(vlm, opened)
        chosen_attention(opened, layers)
        _encode_an_image(opened)
    except (ModelError, TemplateError, ProcessorError, LanguageModelError, NoSuchLayerError) as error:
        said = f"the model whose activations are read, which is opened like vlm.model: {error}"
        raise ModelCheckError(said) from error


def _encode_an_image(opened: LoadedVlm) -> None:
    try:
        check_image_tokens(opened, an_image_encoded(opened, _AN_IMAGE))
    except SampleError as error:
        raise ModelCheckError(f"the model takes no image: {error.detail}") from error
    except ImageTokensError as error:
        raise ModelCheckError(f"the model takes no image: {error}") from error
