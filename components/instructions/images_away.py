"""Tells single images that cannot be had from a folder that is not there."""

import itertools
from collections.abc import Sequence

from components.instructions.purchase_errors import PurchaseStoppedError
from components.instructions.sent_image import ImageUnavailableError

# Single images go missing; so many in a row are a folder that is not mounted.
_MOST_IN_A_ROW = 50


class ImagesAwayError(PurchaseStoppedError):
    """The images cannot be read."""


class MissingImageRun:
    """Counts images in a row that could not be had."""

    def __init__(self) -> None:
        self._uris: list[str] = []

    def available(self) -> None:
        """Note an image that could be read, whatever it shows."""
        self._uris.clear()

    def unavailable(self, uri: str, error: ImageUnavailableError) -> None:
        """Note one that could not.

        Raises:
            ImagesAwayError: fifty in a row.
        """
        self._uris.append(uri)
        if len(self._uris) >= _MOST_IN_A_ROW:
            raise ImagesAwayError(
                f"{len(self._uris)} images in a row cannot be had (the last: {error.reason}: {error.detail}). Is "
                f"{_folder_of(self._uris)} there, and as it was when the pool was read? Nothing was recorded about "
                "them; run again when it is back, or ingest again"
            )


def _folder_of(uris: Sequence[str]) -> str:
    """The deepest folder that all of these are in, as far as their addresses say."""
    first, last = min(uris).split("/"), max(uris).split("/")
    common = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first[:-1], last[:-1], strict=False))
    return "/".join(part for part, _ in common) or uris[-1]
