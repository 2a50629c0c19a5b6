"""What workspaces still need of the DVC cache, whatever MLflow says of their runs."""

import json
from collections.abc import Iterable

from components.lineage.lock_file import earlier_artifacts, parse_lock
from tasks.platform.finished import last_finished
from tasks.platform.unpushed import unpushed
from tasks.platform.workspace import Workspace


def hashes_at_hand(workspaces: Iterable[Workspace]) -> frozenset[str]:
    """Hashes of the artifacts that a recuration goes on from, and of those that no remote has yet.

    Args:
        workspaces: of the project.

    Returns:
        Without the files in the artifacts.
    """
    needed = set(unpushed())
    for workspace in workspaces:
        finished = last_finished(workspace)
        if finished is not None:
            stages = parse_lock(finished.lock_text)
            needed |= {output.md5 for stage in stages for output in stage.writes}
            needed |= {earlier.md5 for earlier in earlier_artifacts(stages)}
        record = workspace.artifact("earlier") / "earlier.json"
        if record.exists():
            needed |= set(json.loads(record.read_text(encoding="utf-8"))["artifacts"].values())
    return frozenset(needed)
