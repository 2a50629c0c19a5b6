"""A workspace: the folder of one dvc.yaml, its params.yaml, its dvc.lock and its data."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.errors import UserError
from components.parameters.parameters import Parameters
from components.parameters.reading import load_parameters

STATE = Path(".presel")


class WorkspaceBusyError(UserError, RuntimeError):
    """Two runs at once in one workspace."""


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

    @property
    def name(self) -> str:
        """Its folder's name; `project` for the project itself."""
        return Path(self.root).name or "project"

    @property
    def key(self) -> str:
        """Name of what is kept for it outside: of the project itself, one that no folder under `runs/` can have."""
        return Path(self.root).name or ".project"

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the workspace: two runs that write the same artifacts would destroy each other's work.

        Raises:
            WorkspaceBusyError: another process holds it.
        """
        lock = STATE / "locks" / "workspaces" / self.key
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise WorkspaceBusyError(
                    f"another run is working in workspace {self.root!r}; wait for it, or give this one a --name"
                ) from None
            yield

    def parameters(self) -> Parameters:
        """The parameters, checked."""
        return load_parameters(self.parameter_file)
