"""What a run has left in its folder."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from components.parameters.parameters import ParameterError, Parameters
from components.storage import read_table


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The artifacts of a run.

    Attributes:
        root: folder of its parameters and of `data`.
        parameters: of the run.
    """

    root: Path
    parameters: Parameters

    def path(self, name: str) -> Path:
        """Where an artifact or a file of one is, such as `vectors` or `selection/selection.parquet`."""
        return self.root / "data" / name

    def table(self, name: str, schema: pa.Schema) -> pa.Table:
        """A table that the run must have left.

        Raises:
            ParameterError: it has not.
        """
        if not self.path(name).exists():
            raise ParameterError(f"workspace {self.root} has no {name} yet; run `presel run` first")
        return read_table(self.path(name), schema)
