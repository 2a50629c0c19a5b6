"""A lineage as a tree of text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from components.lineage.lock_file import LockedPath
from components.lineage.model_lineage import ModelLineage
from components.lineage.trace_samples import AuthorGroup, TaskGroup, TracedSample
from components.text import dollars, shortened


@dataclass(frozen=True, slots=True)
class Branch:
    """A line and what hangs on it."""

    text: str
    branches: tuple["Branch", ...] = ()


def lineage_tree(lineage: ModelLineage, *, samples: Sequence[TracedSample] = ()) -> str:
    """Draw a lineage.

    Args:
        lineage: all of it.
        samples: those to list one by one.

    Returns:
        Lines, the model first.
    """
    model, run = lineage.model, lineage.run
    named = f" ({', '.join(model.aliases)})" if model.aliases else ""
    decision = [Branch(f"gate  {model.decision}, {model.decided_at}, by {model.decided_by}")] if model.decision else []
    root = Branch(
        f"model  {model.name}/{model.version}{named}, registered {model.registered_at}",
        (
            *decision,
            Branch(
                f"run  {run.run_id} {run.name!r}, {run.started_at}, workspace {run.workspace}",
                (
                    Branch(f"code  commit {run.commit or '(none)'}{_changed(run.has_changed_code)}"),
                    Branch(f"parameters  strategy {run.strategy}; dvc.lock sha256 {run.lock_sha256[:12]}"),
                    *([Branch(f"Prefect  {run.flow_run_url}")] if run.flow_run_url else []),
                    *([Branch(f"goes on from  run {run.goes_on_from}")] if run.goes_on_from else []),
                    Branch(f"spent  {dollars(run.cost_usd)} in this run"),
                ),
            ),
            Branch(
                f"adapter  {_version(lineage.adapter)}",
                (
                    Branch(
                        f"training set  {_version(lineage.training_set)}: {len(lineage.samples):,} samples",
                        (
                            *(_author_branch(group) for group in lineage.authors),
                            Branch(
                                f"chosen  {_version(lineage.selection)}",
                                tuple(_task_branch(group) for group in lineage.tasks),
                            ),
                            *([Branch("samples", tuple(map(_sample_branch, samples)))] if samples else []),
                            Branch(f"pool  {_version(lineage.pool)}: {lineage.pool_samples:,} samples"),
                        ),
                    ),
                ),
            ),
        ),
    )
    return "\n".join(_lines(root, "", ""))


def author_text(group: AuthorGroup) -> str:
    """Who wrote the instructions of a group, with what, when and for how much."""
    who = f"{group.provider} {group.model}".strip() or "unknown: no artifact names an author"
    template = f", template {group.template}" if group.template else ""
    when = f", {_minute(group.first_at)} to {_minute(group.last_at)}" if group.first_at else ", not in the ledger"
    return f"{who}{template}{when}, {dollars(group.price_usd)}"


def task_text(group: TaskGroup) -> str:
    """How many samples of a task came from where."""
    counted = " + ".join(f"{count:,} {origin}" for origin, count in group.by_origin)
    return f"{counted}{f', from {group.clusters:,} clusters' if group.clusters else ''}"


def _author_branch(group: AuthorGroup) -> Branch:
    return Branch(f"{group.origin}  {group.samples:,} instructions by {author_text(group)}")


def _task_branch(group: TaskGroup) -> Branch:
    return Branch(f"{shortened(group.task)}  {task_text(group)}")


def _sample_branch(sample: TracedSample) -> Branch:
    choice, author = sample.choice, sample.author
    standing = [f"cluster {choice.cluster}"] if choice.cluster >= 0 else []
    standing += [f"score {choice.score:.4f}"] if math.isfinite(choice.score) else []
    standing += [f"rank {choice.rank}, quota {choice.quota}"] if choice.rank else []
    when = f", {_minute(author.asked_at)}" if author.asked_at else ""
    template = f", template {author.template}" if author.template else ""
    written = f"{author.provider} {author.model}{template}{when}, {dollars(author.price_usd)}"
    return Branch(
        f"{sample.sample_id}  {sample.uri}",
        (
            Branch(f"{choice.origin}  {'; '.join([choice.reason, *standing])}"),
            Branch(f"instruction  {written}, {author.attempts} sent, request {author.request_id[:12]}"),
        ),
    )


def _lines(branch: Branch, first: str, others: str) -> list[str]:
    lines = [first + branch.text]
    for number, inner in enumerate(branch.branches, start=1):
        last = number == len(branch.branches)
        lines += _lines(inner, others + ("└─ " if last else "├─ "), others + ("   " if last else "│  "))
    return lines


def _version(artifact: LockedPath) -> str:
    return f"{artifact.path} {artifact.md5.removesuffix('.dir')}"


def _changed(has_changed_code: bool) -> str:
    return " with changes that are kept beside the run" if has_changed_code else ""


def _minute(time: str) -> str:
    """An ISO 8601 time to the minute."""
    return time[:16].replace("T", " ")
