"""What the model of provider `local` is asked."""

from dataclasses import dataclass

from PIL import Image

from components.instructions.provider import UnusableReply
from components.instructions.request import IdentifiedRequest


@dataclass(frozen=True, slots=True)
class LocalPrompt:
    """What the model is asked.

    Attributes:
        identified: the request.
        image: RGB, as large as it is shown to the model.
        replies: unusable ones it has brought; the last of them is sent back with it.
    """

    identified: IdentifiedRequest
    image: Image.Image
    replies: tuple[UnusableReply, ...]
