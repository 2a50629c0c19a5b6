"""Provider `local`: instructions written by a transformers model that is run here, a group of images at a time."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

from components.compute.engine import Engine
from components.errors import UserError
from components.instructions.chat import chat_specification, prompt_of
from components.instructions.local.sender import LocalSender
from components.instructions.local.write_group import load_writer, write_group
from components.instructions.provider import PurchaseBook
from components.instructions.purchase_loop import PurchaseLoop, PurchaseTerms
from components.instructions.request import IdentifiedRequest, InstructionRequest, RequestSpecification
from components.instructions.spending.prices import find_price
from components.parameters.instructions import InstructionParameters, PurchaseParameters
from components.pool.snapshot import snapshot_model

_DIGEST_CHARACTERS = 16


class LocalProvider:
    """Writes with a model that is run here; see `components.instructions.provider.InstructionProvider`.

    The model is loaded when the first instruction has to be written. Sampling is seeded by the request, so an answer
    depends neither on what else is in its group nor on when and by which worker it is written, but for rounding
    (`components.models.vlm.write.write_responses`).

    Args:
        parameters: who writes, and what.
        purchase: how many at a time, where, and what it costs.
        pixel_limit: pixels above which an image is not decoded.
        engine: where the model is run.

    Raises:
        UnknownPriceError: the model has no price.
    """

    name = "local"

    def __init__(
        self, parameters: InstructionParameters, purchase: PurchaseParameters, *, pixel_limit: int, engine: Engine
    ) -> None:
        self._parameters = parameters
        self._local = purchase.local
        self._pixel_limit = pixel_limit
        self._engine = engine
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
        load = partial(load_writer, self._parameters, self._local, model=self._pinned)
        with self._engine.pool(load, write_group, name="instructions") as pool:
            sender = LocalSender(pool, self._local.batch_size, self._parameters.image_limit, self._pixel_limit)
            asyncio.run(self._buy(ordered, book, sender))

    async def _buy(self, requests: Sequence[IdentifiedRequest], book: PurchaseBook, sender: LocalSender) -> None:
        await PurchaseLoop(book, sender, terms=self._terms).buy(requests)

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
