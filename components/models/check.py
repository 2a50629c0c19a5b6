"""What can be known of the models of a run before anything is bought or computed."""

from collections.abc import Sequence

from components.errors import UserError
from components.models.features.activations import NoSuchLayerError, chosen_attention
from components.models.vlm.conversation import TemplateError
from components.models.vlm.image_fit import ImageFit, ImagesOfSize, fit_images
from components.models.vlm.image_inputs import ProcessorError
from components.models.vlm.language_model import LanguageModelError, lora_targets
from components.models.vlm.load import ModelError, open_vlm
from components.parameters.parameters import TuningParameters, VlmParameters


class ModelCheckError(UserError, ValueError):
    """A model cannot do what this run wants of it; the message says what to change."""


def check_tuned_model(vlm: VlmParameters, tuning: TuningParameters, images: ImagesOfSize, *, scored: bool) -> ImageFit:
    """See whether the model that is tuned can be, and whether the images of the pool fit into its context.

    Processor, chat template (with one turn and with two), the arguments of the model and the layers that LoRA is put
    on are looked at, and an image of every size is encoded; the weights are not loaded.

    Args:
        vlm: section `vlm` of the parameters.
        tuning: section `tuning`.
        images: of the pool, by size.
        scored: conversations are also written without their questions, for the Instruction Relevance Score.

    Returns:
        How the images fit; the caller decides what it means when they do not.

    Raises:
        ModelError: the model cannot be opened, or its architecture is not supported.
        TemplateError: its chat template cannot be used.
        ProcessorError: its processor cannot be used with it.
        LanguageModelError: it has no such layers.
    """
    opened = open_vlm(vlm)
    opened.template.frames(2)
    if scored:
        opened.template.frames(1, with_question=False)
    lora_targets(opened.model, tuning.target_modules)
    return fit_images(opened, images)


def check_read_model(vlm: VlmParameters, layers: Sequence[int], images: ImagesOfSize) -> ImageFit:
    """See whether a model whose activations are read can be, and whether the images of the pool fit into its context.

    Args:
        vlm: section `vlm` of the parameters, with the model that is read.
        layers: decoder layers, from 0.
        images: of the pool, by size.

    Raises:
        ModelCheckError: it cannot be opened, or has no such layers.
    """
    try:
        opened = open_vlm(vlm)
        chosen_attention(opened, layers)
        return fit_images(opened, images)
    except (ModelError, TemplateError, ProcessorError, LanguageModelError, NoSuchLayerError) as error:
        raise ModelCheckError(
            f"the model whose activations are read, which is opened like vlm.model: {error}"
        ) from error
