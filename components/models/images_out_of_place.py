"""Images that are of no use to the model that is tuned: left out of the pool before an instruction is bought."""

from collections.abc import Collection, Mapping

from components.models.vlm.image_fit import Size, unfit_sizes
from components.models.vlm.load import open_vlm
from components.parameters.parameters import VlmParameters
from components.pool.reasons import QuarantineReason
from components.pool.validate import BadImage


def images_out_of_place(vlm: VlmParameters, sizes: Collection[Size]) -> Mapping[Size, BadImage]:
    """Images that the model cannot be tuned on, by their sizes: no instruction is worth its price for them.

    Args:
        vlm: section `vlm` of the parameters.
        sizes: width and height of images, in pixels.

    Returns:
        Why those of a size are left out; sizes that fit are not there.

    Raises:
        ModelError: the model cannot be opened, or its architecture is not supported.
        TemplateError: its chat template cannot be used.
        ProcessorError: its processor cannot be used with it.
    """
    return {
        size: BadImage(
            QuarantineReason.REFUSED_BY_MODEL if one.refused else QuarantineReason.EXCEEDS_CONTEXT, one.detail
        )
        for size, one in unfit_sizes(open_vlm(vlm), sizes).items()
    }
