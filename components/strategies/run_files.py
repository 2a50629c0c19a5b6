"""What a strategy reads of a run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from components.parameters.parameters import ParameterError, Parameters
from components.storage import read_table


@dataclass(frozen=True, slots=True)
class RunFiles:
    """The artifacts of a run.

    Attributes:
        path: of an artifact or a file of one, such as `vectors` or `selection/selection.parquet`.
        parameters: of the run.
    """

    path: Callable[[str], Path]
    parameters: Parameters

    def table(self, name: str, schema: pa.Schema) -> pa.Table:
        """A table that the run must have left.

        Raises:
            ParameterError: it has not.
        """
        file = self.path(name)
        if not file.exists():
            raise ParameterError(f"there is no {file} yet; run `presel run` first")
        return read_table(file, schema)
