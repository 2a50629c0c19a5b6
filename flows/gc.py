"""`presel gc`: what the retention policy lets go, and why the rest stays."""

from contextlib import ExitStack
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from components.lineage.retention import Item, group_items
from components.parameters.parameters import RetentionParameters
from components.text import bytes_in_words
from flows.prepare_workspace import all_workspaces, find_workspace
from tasks.platform.collect_files import (
    delete_objects,
    delete_paths,
    judge_folders,
    judge_objects,
    judge_results,
    list_vector_versions,
)
from tasks.platform.collect_runs import (
    check_journal,
    check_tracking,
    delete_runs,
    hashes_at_hand,
    hashes_of_runs,
    judge_runs,
)
from tasks.platform.journal import now_ms
from tasks.platform.model_versions import all_versions
from tasks.platform.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Collection:
    """What a collection decided.

    Attributes:
        runs: of MLflow.
        objects: of the DVC cache.
        files: results, and folders of old work.
        vectors: versions of tables of vectors.
    """

    runs: tuple[Item, ...]
    objects: tuple[Item, ...]
    files: tuple[Item, ...]
    vectors: tuple[Item, ...]

    @property
    def items(self) -> tuple[Item, ...]:
        """All of it."""
        return (*self.runs, *self.objects, *self.files, *self.vectors)


def collect_and_show(*, delete: bool) -> None:
    """Decide, delete if told to, and print a table.

    The ledger, the registered models and the DVC remote are never touched.

    Args:
        delete: do it.

    Raises:
        WorkspaceBusyError: something is to be deleted and a run is working.
        PurgeError: something is to be deleted and MLflow does not know of every run yet.
    """
    retention = find_workspace(None).parameters().retention
    workspaces = all_workspaces()
    with ExitStack() as held:
        if delete:
            # A run that has not told MLflow of its artifacts yet would lose them.
            for workspace in workspaces:
                held.enter_context(workspace.exclusive())
            check_journal()
            check_tracking(workspaces)
        collection = decide(workspaces, retention)
        if delete:
            _delete(collection, retention)
    _show(collection, deleted=delete)


def decide(workspaces: tuple[Workspace, ...], retention: RetentionParameters) -> Collection:
    """Decide about everything; changes nothing.

    Args:
        workspaces: of the project.
        retention: the policy.
    """
    now, versions = now_ms(), all_versions()
    runs, kept_runs = judge_runs(versions, retention=retention, now_ms=now)
    needed = hashes_of_runs(kept_runs, versions) | hashes_at_hand(workspaces)
    objects, kept_objects = judge_objects(needed, retention=retention, now_ms=now)
    # What is kept may lie in the remote alone; its result says where to find it.
    results = judge_results(needed | kept_objects, retention=retention, now_ms=now)
    folders = judge_folders(retention=retention, now_ms=now)
    return Collection(runs, objects, (*results, *folders), list_vector_versions(workspaces))


def _delete(collection: Collection, retention: RetentionParameters) -> None:
    """Runs first: one whose artifacts are gone could not be walked back; objects that nothing names go next time."""
    delete_runs([item.name for item in collection.runs if item.decision.goes])
    now = now_ms()
    delete_paths([item for item in collection.files if item.decision.goes], retention=retention, now_ms=now)
    objects = [item.name for item in collection.objects if item.decision.goes]
    delete_objects(objects, retention=retention, now_ms=now)


def _show(collection: Collection, *, deleted: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    for heading, justify in (("kind", "left"), ("", "left"), ("count", "right"), ("bytes", "right"), ("why", "left")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]  # rich's literal type
    for group in group_items(collection.items):
        fate = ("deleted" if deleted else "would go") if group.decision.goes else "stays"
        table.add_row(group.kind, fate, f"{group.count:,}", bytes_in_words(group.size), group.decision.reason)
    console.print(table)
    gone = [item for item in collection.items if item.decision.goes]
    if not gone:
        console.print("nothing to delete", markup=False)
    elif deleted:
        console.print(f"{bytes_in_words(sum(item.size for item in gone))} freed", markup=False)
    else:
        size = bytes_in_words(sum(item.size for item in gone))
        console.print(f"{size} would be freed; `presel gc --delete` does it", markup=False)
