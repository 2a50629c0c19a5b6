"""The last finished curation of a workspace: what a recuration goes on from."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from ruamel.yaml import YAML

from components.lineage.lock_file import LineageError, LockedPath, is_within, parse_lock, written_path
from components.storage import read_json, write_json

POOL = "manifest/samples.parquet"
_EARLIER = "data/earlier/"


@dataclass(frozen=True, slots=True)
class FinishedCuration:
    """What is remembered of it; its artifacts are in the DVC cache under the hashes that its `dvc.lock` names.

    Attributes:
        run: its run in MLflow.
        strategy: how it chose.
        lock_text: its `dvc.lock`.
    """

    run: str
    strategy: str
    lock_text: str

    @property
    def pool_hash(self) -> str:
        """md5 of its pool's samples."""
        return self._read(f"data/{POOL}").md5

    def left_behind(self, names: Collection[str]) -> dict[str, LockedPath]:
        """What a recuration goes on from, by place below `data/earlier`.

        Args:
            names: of what its stages go on from: an artifact, or a file of one, by its place below `data/`.

        Raises:
            LineageError: it lacks some of it.
        """
        if not self.went_on_from():
            raise LineageError(
                f"run {self.run} was made before curations could be gone on from; `presel run` once, which computes "
                "what is missing, then `presel recurate`"
            )
        stages = parse_lock(self.lock_text)
        artifacts = {output.path for stage in stages for output in stage.writes}
        return {
            name: written_path(stages, path) if path in artifacts else self._read(path)
            for name, path in ((name, f"data/{name}") for name in names)
        }

    def went_on_from(self) -> dict[str, LockedPath]:
        """What it went on from itself, by place below `data/earlier`."""
        paths = {path.path: path for stage in parse_lock(self.lock_text) for path in stage.reads}
        return {name.removeprefix(_EARLIER): path for name, path in paths.items() if name.startswith(_EARLIER)}

    def parameters_of(self, stage: str) -> dict[str, object]:
        """The parameters that a stage ran with, by their dotted names; none: it did not run."""
        # As DVC reads it: to YAML 1.1, and so to PyYAML, its small numbers (2e-05) are texts.
        recorded = YAML(typ="safe").load(self.lock_text)["stages"].get(stage, {}).get("params", {})
        return {name: value for file in recorded.values() for name, value in file.items()}

    def read_from_outside(self, stages: Collection[str]) -> tuple[LockedPath, ...]:
        """What stages read that no stage wrote: code, annotations, models; without what it went on from."""
        locked = parse_lock(self.lock_text)
        written = [output.path for stage in locked for output in stage.writes]
        return tuple(
            path
            for stage in locked
            if stage.name in stages
            for path in stage.reads
            if not path.path.startswith(_EARLIER) and not any(is_within(path.path, folder) for folder in written)
        )

    def _read(self, path: str) -> LockedPath:
        for stage in parse_lock(self.lock_text):
            for read in stage.reads:
                if read.path == path:
                    return read
        raise LineageError(f"the dvc.lock of run {self.run} names no {path}: it was no complete curation")


def write_finished(file: Path, finished: FinishedCuration) -> None:
    """Remember a curation as the last one that finished."""
    write_json(file, asdict(finished))


def read_finished(file: Path) -> FinishedCuration | None:
    """Read what `write_finished` wrote; None when there is nothing."""
    if not file.exists():
        return None
    advice = "delete it: where it is missing, the last finished curation is found in MLflow"
    return FinishedCuration(**read_json(file, advice=advice))
