"""Sends the groups of a purchase to the workers that hold the model of provider `local`."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from components.compute.ahead import WorkerDiedError
from components.compute.engine import Pool
from components.instructions.local.prompt import LocalPrompt
from components.instructions.local.write_group import MEMORY_SHORT
from components.instructions.provider import OpenBatch
from components.instructions.purchase_errors import NothingUsableError
from components.instructions.reply import Reply, SendFailure
from components.instructions.request import InstructionRequest
from components.instructions.sender import GroupResult, PreparedRequest
from components.instructions.sent_image import decode_sent_image, sent_size


@dataclass(frozen=True, slots=True)
class ShownImage:
    """An image as the model sees it.

    Attributes:
        pixels: RGB.
    """

    pixels: Image.Image

    @property
    def width(self) -> int:
        """Pixels."""
        return self.pixels.width

    @property
    def height(self) -> int:
        """Pixels."""
        return self.pixels.height


@dataclass(frozen=True, slots=True)
class LocalSender:
    """See `components.instructions.sender.Sender`.

    Attributes:
        pool: the workers.
        group_size: prompts that are written at a time at most.
        image_limit: pixels of the longer side to which an image is reduced.
        pixel_limit: pixels above which an image is not decoded.
    """

    pool: Pool[LocalPrompt, list[Reply | SendFailure]]
    group_size: int
    image_limit: int
    pixel_limit: int

    @property
    def group_bytes(self) -> int:
        """No image is sent to an endpoint, so that no group is full by its bytes."""
        return 1

    @property
    def groups_in_flight(self) -> int:
        """One for each worker."""
        return self.pool.workers

    @property
    def batches_at(self) -> None:
        """Groups go out by themselves."""

    def open_image(self, request: InstructionRequest) -> tuple[ShownImage, int]:
        """Open and reduce an image."""
        _, decoded = decode_sent_image(request.uri, image_sha=request.image_sha, pixel_limit=self.pixel_limit)
        image = decoded.image
        size = sent_size(*image.size, limit=self.image_limit)
        return ShownImage(image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)), 0

    async def wait_for_limits(self, tokens: int) -> None:
        """There are none but the model's own speed."""

    async def send(self, group: list[PreparedRequest[ShownImage]], batch: OpenBatch | None) -> GroupResult:  # noqa: ARG002 -- none
        """Have a worker write; one that is this process blocks, which nobody minds, as nothing else is in flight."""
        prompts = [
            LocalPrompt(one.open_request.identified, one.image.pixels, one.open_request.replies) for one in group
        ]
        began = time.monotonic()
        try:
            written = await self._write(prompts)
        except RuntimeError as error:
            # Nothing is charged for what did not come; the next run asks for it again.
            return GroupResult([SendFailure("not_run", "model_failed", str(error))] * len(group), stop=error)
        seconds = time.monotonic() - began
        return GroupResult([replace(one, seconds=seconds) for one in written])

    async def _write(self, prompts: Sequence[LocalPrompt]) -> list[Reply | SendFailure]:
        """Where a group ends its workers, one by one, so that one does not stop the others."""
        try:
            return await asyncio.wrap_future(self.pool.submit(prompts))
        except WorkerDiedError as error:
            if len(prompts) == 1:
                return [SendFailure("rejected", MEMORY_SHORT, str(error))]
        return [reply for prompt in prompts for reply in await self._write([prompt])]

    def nothing_usable(self, said: str) -> Exception:
        """A model of the project's own does not change by itself."""
        advice = (
            "give it more memory, or take a smaller model"
            if f": {MEMORY_SHORT}: " in said
            else "take a model that can follow the prompt templates, or simpler templates"
        )
        return NothingUsableError(f"{said}; {advice}, and run again")
