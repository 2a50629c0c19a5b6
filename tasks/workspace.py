"""A workspace: the folder of one dvc.yaml, its params.yaml, its dvc.lock and its data."""

from dataclasses import dataclass
from pathlib import Path

from components.parameters import Parameters, load_parameters

STATE = Path(".presel")


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where one curation run lives.

    Attributes:
        root: the folder, relative to the project root; `.` is the project itself.
    """

    root: str

    @property
    def pipeline_file(self) -> Path:
        """The stages."""
        return Path(self.root) / "dvc.yaml"

    @property
    def parameter_file(self) -> Path:
        """The resolved parameters."""
        return Path(self.root) / "params.yaml"

    @property
    def lock_file(self) -> Path:
        """DVC's record of what the stages read and wrote."""
        return Path(self.root) / "dvc.lock"

    def artifact(self, name: str) -> Path:
        """The directory of an artifact, such as `manifest` or `benchmark/tuned`."""
        return Path(self.root) / "data" / name

    def parameters(self) -> Parameters:
        """The parameters, checked."""
        return load_parameters(self.parameter_file)
