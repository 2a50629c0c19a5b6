"""Where a vision-language model comes from, told to whoever computes with it, in this process or in another."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from components.models.vlm.load import LoadedVlm, load_vlm, open_vlm
from components.parameters.parameters import VlmParameters


class VlmSource(Protocol):
    """A model that can be had: `VlmFiles`, or a `LoadedVlm` itself, which is for work in this process."""

    def open(self) -> LoadedVlm:
        """The model as far as samples are encoded with it, with or without its weights."""

    def load(self) -> LoadedVlm:
        """The whole model."""


@dataclass(frozen=True, slots=True)
class VlmFiles:
    """A model by its files, which every process that computes with it reads for itself.

    Attributes:
        parameters: section `vlm` of the parameters.
        adapter: folder of a peft adapter to put on the model; None: none.
    """

    parameters: VlmParameters
    adapter: Path | None = None

    def open(self) -> LoadedVlm:
        """Open the model without its weights, also where there is no device that could take them.

        Raises:
            ModelError: see `open_vlm`.
            TemplateError: its chat template cannot be used.
        """
        return open_vlm(self.parameters.model_copy(update={"device": "cpu"}))

    def load(self) -> LoadedVlm:
        """Load the model and its adapter.

        Raises:
            ModelError: see `load_vlm`.
            TemplateError: its chat template cannot be used.
        """
        return load_vlm(self.parameters, adapter=self.adapter)
