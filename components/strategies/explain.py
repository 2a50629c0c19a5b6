"""Why a sample was or was not picked, from the tables that the stages left."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.selection.nearest_picked import nearest_picked
from components.selection.select_pool import BEHIND_KEPT, KEPT
from components.strategies.find_sample import PoolSample, QuarantinedRecord, find_sample

Status = Literal["picked", "passed_over", "reference", "without_vector", "not_considered", "quarantined"]
ReadVectors = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that the strategy knows of a sample: a short label and the text beside it."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class CurationTables:
    """The tables that explain a selection by neighbour centrality; columns in `components.schemas`.

    Attributes:
        samples: SAMPLES.
        quarantine: QUARANTINE.
        selection: SELECTION.
        importance: IMPORTANCE; without rows where the strategy gives tasks no importance.
        allocation: ALLOCATION.
        vectors_dropped: DROPPED of the embedding, whose `sample_id` is an image sha.
    """

    samples: pa.Table
    quarantine: pa.Table
    selection: pa.Table
    importance: pa.Table
    allocation: pa.Table
    vectors_dropped: pa.Table


@dataclass(frozen=True, slots=True)
class TaskStanding:
    """How important a task is.

    Attributes:
        score: s(T), mean Instruction Relevance Score; lower: more important.
        weight: w, share of the budget, 0 to 1.
        rank: among the tasks by weight, from 1, the most important.
        tasks: number of tasks.
    """

    score: float
    weight: float
    rank: int
    tasks: int


@dataclass(frozen=True, slots=True)
class ClusterStanding:
    """The sample's cluster, and its place in it.

    Attributes:
        cluster: number within the task.
        size: images.
        available: of them, those outside the reference set.
        share: images to pick before rounding, Eq. 6.
        quota: images to pick.
        centrality: of the sample, Eq. 7, -1 to 1, higher wins; None for a reference image.
        rank: of the sample among the available images, from 1; None for a reference image.
    """

    cluster: int
    size: int
    available: int
    share: float
    quota: int
    centrality: float | None
    rank: int | None


@dataclass(frozen=True, slots=True)
class PickedNeighbour:
    """The picked image of the same task that is most like the sample.

    Attributes:
        sample_id: which.
        uri: where it is.
        cosine: of the two vectors, -1 to 1, higher is closer.
        same_cluster: whether it is in the sample's cluster.
    """

    sample_id: str
    uri: str
    cosine: float
    same_cluster: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """All there is to say of one sample.

    Attributes:
        name: the sample id, or the record id of a record that is not in the pool.
        task: its task; empty for a quarantined record.
        uri: its image.
        record_ids: the records that name it.
        status: what became of it.
        sentence: why, in one plain sentence.
        near_duplicate_of: image sha of a near duplicate that ingest kept before it; empty without one.
        importance: of its task; None where it is not known.
        cluster: None for a sample without a vector.
        neighbour: None where no other image of the task was picked, or it has no vector.
        facts: what another strategy than PreSel knows of it.
    """

    name: str
    task: str
    uri: str
    record_ids: tuple[str, ...]
    status: Status
    sentence: str
    near_duplicate_of: str = ""
    importance: TaskStanding | None = None
    cluster: ClusterStanding | None = None
    neighbour: PickedNeighbour | None = None
    facts: tuple[Fact, ...] = ()


def explain_sample(name: str, tables: CurationTables, *, read_vectors: ReadVectors) -> Explanation:
    """Explain what became of a sample.

    Args:
        name: a sample id, a record id, an image path or the start of an image's sha256.
        tables: of the curation run.
        read_vectors: image shas to vectors `(n, d)` float32, in their order.

    Returns:
        The explanation.

    Raises:
        UnknownSampleError: nothing, or more than one sample, goes by that name.
    """
    found = find_sample(name, tables.samples, tables.quarantine)
    if isinstance(found, QuarantinedRecord):
        return explain_quarantined(found)
    importance = _task_standing(found.task, tables.importance)
    rows = tables.selection.filter(pc.field("sample_id") == found.sample_id).to_pylist()
    if not rows:
        return _without_vector(found, tables, importance)
    row = rows[0]
    cluster = _cluster_standing(row, tables.allocation)
    status: Status = "reference" if row["is_reference"] else "picked" if row["picked"] else "passed_over"
    return Explanation(
        name=found.sample_id,
        task=found.task,
        uri=found.uri,
        record_ids=found.record_ids,
        status=status,
        sentence=_sentence(status, found.task, cluster, row["reason"]),
        near_duplicate_of=found.near_duplicate_of,
        importance=importance,
        cluster=cluster,
        neighbour=_nearest_picked(found, row["cluster"], tables, read_vectors),
    )


def explain_quarantined(record: QuarantinedRecord) -> Explanation:
    """Explain why a record is not in the pool."""
    return Explanation(
        name=record.record_id or record.image,
        task="",
        uri=record.image,
        record_ids=(record.record_id,) if record.record_id else (),
        status="quarantined",
        sentence=f"It is not in the pool: ingest left it out as {record.reason} ({record.detail}).",
    )


def _task_standing(task: str, importance: pa.Table) -> TaskStanding | None:
    rows = importance.filter(pc.field("task") == task).to_pylist()
    if not rows:
        return None
    heavier = pc.sum(pc.greater(importance["weight"], rows[0]["weight"])).as_py() or 0
    return TaskStanding(rows[0]["score"], rows[0]["weight"], heavier + 1, importance.num_rows)


def _cluster_standing(row: dict[str, object], allocation: pa.Table) -> ClusterStanding:
    cells = allocation.filter((pc.field("task") == row["task"]) & (pc.field("cluster") == row["cluster"])).to_pylist()
    if not cells:
        raise ValueError(
            f"cluster {row['cluster']} of task {row['task']!r} has no allocation: the tables belong to "
            "different runs; run the pipeline again"
        )
    (cell,) = cells
    is_reference = bool(row["is_reference"])
    return ClusterStanding(
        cluster=cell["cluster"],
        size=cell["size"],
        available=cell["available"],
        share=cell["share"],
        quota=cell["quota"],
        centrality=None if is_reference else float(str(row["score"])),
        rank=None if is_reference else int(str(row["rank"])),
    )


def _sentence(status: Status, task: str, cluster: ClusterStanding, reason: str) -> str:
    if status == "reference":
        return (
            f"It is in the reference set, the share of task {task!r} that is annotated first to find out how "
            "important the task is."
        )
    assert cluster.rank is not None
    standing = f"it is number {cluster.rank} of {cluster.available} available images by centrality"
    if reason == KEPT:
        return f"It is kept: an earlier curation picked it. Today {standing}, and its cluster is given {cluster.quota}."
    if reason == BEHIND_KEPT:
        return f"It was not picked: {standing}, and what an earlier curation picked in its cluster goes before."
    if status == "picked" and cluster.rank > cluster.quota:
        # Not by its rank: the table knows better.
        return f"It was picked although {standing} and its cluster was given {cluster.quota}: {reason}."
    if status == "picked":
        return f"It was picked: {standing}, and its cluster was given {cluster.quota}."
    if cluster.quota == 0:
        return (
            f"It was not picked: its cluster of {cluster.size} images has a share of {cluster.share:.2f} images of "
            "the budget, which rounds to none."
        )
    return f"It was not picked: {standing}, and its cluster was given {cluster.quota}."


def _without_vector(sample: PoolSample, tables: CurationTables, importance: TaskStanding | None) -> Explanation:
    dropped = tables.vectors_dropped.filter(pc.field("sample_id") == sample.image_sha).to_pylist()
    why = f"{dropped[0]['reason']} ({dropped[0]['detail']})" if dropped else "it came after the last selection"
    return Explanation(
        name=sample.sample_id,
        task=sample.task,
        uri=sample.uri,
        record_ids=sample.record_ids,
        status="without_vector",
        sentence=f"It was not considered, because its image has no vector: {why}.",
        near_duplicate_of=sample.near_duplicate_of,
        importance=importance,
    )


def _nearest_picked(
    sample: PoolSample, cluster: int, tables: CurationTables, read_vectors: ReadVectors
) -> PickedNeighbour | None:
    others = tables.selection.filter(
        (pc.field("task") == sample.task) & pc.field("picked") & (pc.field("sample_id") != sample.sample_id)
    )
    if not others.num_rows:
        return None
    vectors = read_vectors([*others["image_sha"].to_pylist(), sample.image_sha])  # (picked + 1, d)
    is_picked = np.ones(len(vectors), dtype=np.bool_)  # (picked + 1,)
    is_picked[-1] = False
    nearest = nearest_picked(vectors, is_picked, rows=np.array([len(vectors) - 1], dtype=np.int64))
    row = others.slice(int(nearest.rows[0]), 1).to_pylist()[0]
    place = tables.samples.filter(pc.field("sample_id") == row["sample_id"])["uri"].to_pylist()
    return PickedNeighbour(
        sample_id=row["sample_id"],
        uri=place[0] if place else "",
        cosine=float(nearest.cosines[0]),
        same_cluster=row["cluster"] == cluster,
    )


def explanation_text(explanation: Explanation) -> str:
    """Render an explanation as plain text of several lines."""
    lines = [("sample", explanation.name)]
    lines += [("task", explanation.task)] if explanation.task else []
    lines += [("image", explanation.uri)] if explanation.uri else []
    lines += [("records", ", ".join(explanation.record_ids))] if explanation.record_ids else []
    lines += _standing_lines(explanation)
    lines += [(fact.label, fact.text) for fact in explanation.facts]
    if explanation.near_duplicate_of:
        lines.append(("near copy", f"of image {explanation.near_duplicate_of[:20]}, which ingest met first"))
    width = max(len(label) for label, _ in lines)
    table = [f"{label:<{width}}  {text}" for label, text in lines]
    return "\n".join([explanation.sentence, "", *table])


def _standing_lines(explanation: Explanation) -> list[tuple[str, str]]:
    lines = []
    if (task := explanation.importance) is not None:
        lines.append(
            (
                "importance",
                f"{task.weight:.1%} of the budget, number {task.rank} of {task.tasks} tasks "
                f"(mean instruction relevance score {task.score:.4f}, lower is more important)",
            )
        )
    if (cluster := explanation.cluster) is not None:
        lines.append(
            (
                "cluster",
                f"{cluster.cluster} of the task: {cluster.size} images, "
                + (f"{cluster.available} outside the reference set, " if explanation.importance is not None else "")
                + f"{cluster.quota} to pick",
            )
        )
        if cluster.centrality is not None:
            lines.append(("centrality", f"{cluster.centrality:.4f}, rank {cluster.rank} of {cluster.available}"))
    if (neighbour := explanation.neighbour) is not None:
        where = "in the same cluster" if neighbour.same_cluster else "in another cluster of the task"
        lines.append(
            ("nearest pick", f"{neighbour.sample_id} ({neighbour.uri}), cosine {neighbour.cosine:.4f}, {where}")
        )
    return lines
