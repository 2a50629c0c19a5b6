"""Which runs are kept, and for how long; what the kept ones need is kept with them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from components.parameters.parameters import RetentionParameters

_DAY_MS = 86_400_000
UNFINISHED = frozenset({"RUNNING", "SCHEDULED"})


@dataclass(frozen=True, slots=True)
class DatedRun:
    """A curation run.

    Attributes:
        run_id: in MLflow.
        workspace: that it ran in.
        started_ms: milliseconds since 1970.
        status: as MLflow says it.
    """

    run_id: str
    workspace: str
    started_ms: int
    status: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of something, and why."""

    goes: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Item:
    """Something that takes up space.

    Attributes:
        kind: such as `MLflow run`.
        name: which.
        size: bytes.
        decision: what becomes of it.
    """

    kind: str
    name: str
    size: int
    decision: Decision


@dataclass(frozen=True, slots=True)
class ItemGroup:
    """Items of one kind that share a fate and its reason."""

    kind: str
    decision: Decision
    count: int
    size: int


def decide_runs(
    runs: Sequence[DatedRun], *, registered: Collection[str], retention: RetentionParameters, now_ms: int
) -> dict[str, Decision]:
    """Decide about every run.

    Args:
        runs: of all workspaces.
        registered: ids of those that made a version of a registered model.
        retention: the policy.
        now_ms: milliseconds since 1970.

    Returns:
        By run id. The newest run and the newest finished run of a workspace stay, whatever the policy says.
    """
    decisions: dict[str, Decision] = {}
    seen: dict[str, int] = {}
    finished: set[str] = set()
    for run in sorted(runs, key=lambda run: (-run.started_ms, run.run_id)):
        place = seen[run.workspace] = seen.get(run.workspace, 0) + 1
        newest_finished = run.status == "FINISHED" and run.workspace not in finished
        if run.status == "FINISHED":
            finished.add(run.workspace)
        decisions[run.run_id] = _decide(
            run, place, registered=registered, newest_finished=newest_finished, retention=retention, now_ms=now_ms
        )
    return decisions


def decide_by_age(changed_ms: float, *, retention: RetentionParameters, now_ms: int, unused: str) -> Decision:
    """Decide about something that no kept run needs.

    Args:
        changed_ms: when it was written, milliseconds since 1970.
        retention: the policy.
        now_ms: milliseconds since 1970.
        unused: why it is not needed.
    """
    if now_ms - changed_ms < retention.days * _DAY_MS:
        return Decision(goes=False, reason=f"younger than {retention.days:g} days")
    return Decision(goes=True, reason=unused)


def group_items(items: Sequence[Item]) -> tuple[ItemGroup, ...]:
    """Count items by kind, fate and reason, in the order in which the kinds come; what goes before what stays."""
    kinds = list(dict.fromkeys(item.kind for item in items))
    groups: dict[tuple[str, Decision], list[Item]] = {}
    for item in items:
        groups.setdefault((item.kind, item.decision), []).append(item)
    ordered = sorted(groups, key=lambda key: (kinds.index(key[0]), not key[1].goes, key[1].reason))
    return tuple(
        ItemGroup(kind, decision, len(members), sum(member.size for member in members))
        for kind, decision in ordered
        for members in (groups[kind, decision],)
    )


def _decide(
    run: DatedRun,
    place: int,
    *,
    registered: Collection[str],
    newest_finished: bool,
    retention: RetentionParameters,
    now_ms: int,
) -> Decision:
    if run.run_id in registered:
        return Decision(goes=False, reason="a registered model comes from it")
    if run.status in UNFINISHED:
        return Decision(goes=False, reason="it has not ended")
    if place == 1 or newest_finished:
        return Decision(goes=False, reason="newest of its workspace")
    if place <= retention.runs:
        return Decision(goes=False, reason=f"among the newest {retention.runs} of its workspace")
    unused = f"older than {retention.days:g} days and not among the newest {retention.runs}"
    return decide_by_age(run.started_ms, retention=retention, now_ms=now_ms, unused=unused)
