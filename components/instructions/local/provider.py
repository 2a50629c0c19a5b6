"""Provider `local`: instructions written on this machine by a transformers model, a group of images at a time."""

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from components.errors import UserError
from components.instructions.chat import chat_specification, prompt_of
from components.instructions.provider import OpenBatch, PurchaseBook
from components.instructions.purchase_errors import NothingUsableError
from components.instructions.purchase_loop import PurchaseLoop, PurchaseTerms
from components.instructions.reply import Reply, SendFailure
from components.instructions.request import IdentifiedRequest, InstructionRequest, RequestSpecification
from components.instructions.sender import GroupResult, PreparedRequest
from components.instructions.sent_image import decode_sent_image, sent_size
from components.instructions.spending.prices import find_price
from components.parameters.instructions import InstructionParameters, PurchaseParameters
from components.pool.snapshot import snapshot_model

if TYPE_CHECKING:
    from components.instructions.local.writer import LocalPrompt, LocalWriter

_LOG = logging.getLogger(__name__)

_DIGEST_CHARACTERS = 16
_MEMORY_SHORT = "out_of_memory"


@dataclass(frozen=True, slots=True)
class ShownImage:
    """An image as a model on this machine sees it.

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


class LocalProvider:
    """Writes with a model on this machine; see `components.instructions.provider.InstructionProvider`.

    The model is loaded when the first instruction has to be written. Sampling is seeded by the request, so an answer
    depends neither on what else is in its group nor on when it is written, but for rounding
    (`components.models.vlm.write.write_responses`). It is its own `components.instructions.sender.Sender`.

    Args:
        parameters: who writes, and what.
        purchase: how many at a time, where, and what it costs.
        pixel_limit: pixels above which an image is not decoded.

    Raises:
        UnknownPriceError: the model has no price.
    """

    name = "local"
    group_bytes = 1  # no image is sent, so that no group is full by its bytes
    groups_in_flight = 1
    batches_at = None

    def __init__(self, parameters: InstructionParameters, purchase: PurchaseParameters, *, pixel_limit: int) -> None:
        self.group_size = purchase.local.batch_size
        self._parameters = parameters
        self._purchase = purchase
        self._pixel_limit = pixel_limit
        self._terms = PurchaseTerms(
            find_price(purchase.prices, parameters.model), parameters.repairs, purchase.spend_at_most_usd
        )

    def specify(self, requests: Sequence[InstructionRequest]) -> list[RequestSpecification]:
        """The model with its version and what its chat template is told, the task's template, the sampling parameters.

        Raises:
            UnpinnedModelError: the model has no version.
        """
        return [replace(chat_specification(request, self._parameters), model=self._pinned) for request in requests]

    def at_hand(self, requests: Sequence[InstructionRequest]) -> list[bool]:
        """None: every instruction has to be written."""
        return [False] * len(requests)

    def ask(self, requests: Sequence[IdentifiedRequest], *, book: PurchaseBook) -> None:
        """Write instructions, `purchase.local.batch_size` at a time.

        Raises:
            LocalModelError: the model cannot be loaded.
            NothingUsableError: nothing usable comes, or the memory does not suffice for any.
        """
        # Prompts of similar length fill a group up with the least padding; the sort keeps the order of equal ones.
        ordered = sorted(requests, key=_characters)
        asyncio.run(self._buy(ordered, book))

    async def _buy(self, requests: Sequence[IdentifiedRequest], book: PurchaseBook) -> None:
        await PurchaseLoop(book, self, terms=self._terms).buy(requests)

    def open_image(self, request: InstructionRequest) -> tuple[ShownImage, int]:
        """Open and reduce an image."""
        _, decoded = decode_sent_image(request.uri, image_sha=request.image_sha, pixel_limit=self._pixel_limit)
        image = decoded.image
        size = sent_size(*image.size, limit=self._parameters.image_limit)
        return ShownImage(image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)), 0

    async def wait_for_limits(self, tokens: int) -> None:
        """There are none but the model's own speed."""

    async def send(self, group: list[PreparedRequest[ShownImage]], batch: OpenBatch | None) -> GroupResult:  # noqa: ARG002 -- none
        """Have the model write; nothing else is in flight meanwhile, so nobody minds that this blocks."""
        # Imported here, with torch behind it: a run whose instructions are all in the ledger needs none of it.
        from components.instructions.local.writer import LocalPrompt

        asked = [one.open_request for one in group]
        prompts = [
            LocalPrompt(one.identified, prepared.image.pixels, one.replies)
            for one, prepared in zip(asked, group, strict=True)
        ]
        began = time.monotonic()
        try:
            written = self._write(prompts)
        except RuntimeError as error:
            # Nothing is charged for what did not come; the next run asks for it again.
            return GroupResult([SendFailure("not_run", "model_failed", str(error))] * len(group), stop=error)
        seconds = time.monotonic() - began
        return GroupResult([replace(one, seconds=seconds) for one in written])

    def _write(self, prompts: "Sequence[LocalPrompt]") -> list[Reply | SendFailure]:
        """Have the model write; where it fails with a group, with smaller ones, so that one does not stop the others.

        Raises:
            LocalModelError: the model cannot be loaded.
        """
        from components.instructions.local.writer import LocalModelError, MemoryShortError

        writer = self._writer
        try:
            written = writer.write(prompts)
        except LocalModelError:
            raise
        except MemoryShortError as error:
            smaller = (len(prompts) + 1) // 2
            failure = SendFailure("rejected", _MEMORY_SHORT, str(error))
        except (RuntimeError, ValueError, IndexError) as error:
            smaller = 1
            failure = SendFailure("rejected", "model_failed", f"{type(error).__name__}: {error}")
        else:
            return [one if isinstance(one, Reply) else SendFailure("final", one.reason, one.detail) for one in written]
        # Out here nobody holds the error any more, and with it what lay in memory when it was raised.
        if len(prompts) > 1:
            groups = [prompts[start : start + smaller] for start in range(0, len(prompts), smaller)]
            return [reply for group in groups for reply in self._write(group)]
        _LOG.warning("the model failed with %s: %s", prompts[0].identified.request.sample_id, failure.detail)
        return [failure]

    def nothing_usable(self, said: str) -> Exception:
        """A model on this machine does not change by itself."""
        advice = (
            "give it more memory, or take a smaller model"
            if f": {_MEMORY_SHORT}: " in said
            else "take a model that can follow the prompt templates, or simpler templates"
        )
        return NothingUsableError(f"{said}; {advice}, and run again")

    @cached_property
    def _writer(self) -> "LocalWriter":
        from components.instructions.local.writer import open_writer

        return open_writer(self._parameters, self._purchase.local, model=self._pinned)

    @cached_property
    def _pinned(self) -> str:
        model = pinned_model(self._parameters.model, self._parameters.revision)
        told = self._parameters.template_arguments
        return f"{model} {json.dumps(told, sort_keys=True)}" if told else model


def _characters(identified: IdentifiedRequest) -> int:
    _, prompt = prompt_of(identified)
    return len(prompt.system) + len(prompt.user)


class UnpinnedModelError(UserError, ValueError):
    """Nothing says which version of a model would write."""


def pinned_model(model: str, revision: str | None) -> str:
    """Name a model so that two that may write differently have different names.

    Args:
        model: folder or Hugging Face id.
        revision: git revision of a Hub model; a folder has none.

    Returns:
        `FOLDER@sha256:DIGEST` of all files in the folder, or `ID@REVISION`.

    Raises:
        UnpinnedModelError: it is no folder here, and there is no revision.
    """
    if Path(model).is_dir():
        digest = hashlib.sha256(snapshot_model(model, None).encode("utf-8")).hexdigest()
        return f"{model}@sha256:{digest[:_DIGEST_CHARACTERS]}"
    if revision is None:
        raise UnpinnedModelError(
            f"instructions.model {model!r} is no folder here; correct the path, or, for a Hugging Face id, set "
            "instructions.revision to the git revision (a commit hash) to use, without which the model may change "
            "between runs"
        )
    return f"{model}@{revision}"
