"""What every strategy's flow ends with."""

from dataclasses import dataclass

from tasks.platform.versioning import Artifact


@dataclass(frozen=True, slots=True)
class Chosen:
    """The images that a strategy chose.

    Attributes:
        selection: what was picked, with reasons.
        evidence: what the choice rests on, for the report.
        computed: the artifacts that took the time of choosing; instructions are not among them.
        annotated: instructions that exist before anything is picked: of the reference set, of the pool.
    """

    selection: Artifact
    evidence: tuple[Artifact, ...]
    computed: tuple[Artifact, ...]
    annotated: tuple[Artifact, ...] = ()

    @property
    def seconds(self) -> float:
        """Seconds that choosing took, whenever its parts were computed."""
        return sum(artifact.seconds for artifact in (*self.computed, self.selection))
