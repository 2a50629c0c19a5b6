"""Clusters as pictures: what was picked from them and what was passed over."""

from collections import defaultdict
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from components.report.geometry import evenly_spaced
from components.report.inputs import ReportInputs
from components.report.task_rows import TaskRow
from components.report.thumbnails import ImageLoader, Thumbnail, ThumbnailFormat, make_thumbnail

ALL_TASKS = "all tasks"  # stands for the task of a cluster of the whole pool


@dataclass(frozen=True, slots=True)
class Tile:
    """One picture with what is known of it: columns of SELECTION; rank 0 is none."""

    thumbnail: Thumbnail
    sample_id: str
    rank: int
    score: float
    reason: str


@dataclass(frozen=True, slots=True)
class ClusterGrid:
    """One cluster.

    Attributes:
        task: its task; "all tasks" for a cluster of the whole pool.
        colour: index of the task's colour, -1 for grey.
        cluster: its number; -1 where the task as a whole is drawn from.
        picks: how many of its images were picked.
        images: of how many that could be.
        reference: more that are in the reference set.
        picked: pictures from the first rank on.
        passed: pictures from the narrowest miss to the last rank.
    """

    task: str
    colour: int
    cluster: int
    picks: int
    images: int
    reference: int
    picked: tuple[Tile, ...]
    passed: tuple[Tile, ...]


def grid_clusters_of(
    selection: pa.Table, tasks: tuple[TaskRow, ...], limit: int, *, across_tasks: bool = False
) -> tuple[tuple[str, int], ...]:
    """The clusters to show: those with the largest quotas, one per task in turn, the most important task first.

    Clusters with nothing picked or nothing passed over are not shown: there is nothing to compare. Clusters that mix
    tasks (`across_tasks`) come as one task, `ALL_TASKS`.
    """
    open_rows = selection.filter(pc.invert(selection["is_reference"]))
    if across_tasks:
        everywhere = pa.repeat(ALL_TASKS, open_rows.num_rows)
        open_rows = open_rows.set_column(open_rows.schema.get_field_index("task"), "task", everywhere)
    groups = open_rows.group_by(["task", "cluster"]).aggregate(
        [("picked", "sum"), ("picked", "count"), ("quota", "max")]
    )
    by_task: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for row in groups.to_pylist():
        if 0 < row["picked_sum"] < row["picked_count"]:
            by_task[row["task"]].append((-row["quota_max"], row["cluster"]))
    names = [ALL_TASKS] if across_tasks else [row.task for row in tasks]
    queues = [(name, sorted(by_task[name])) for name in names]
    longest = max((len(queue) for _, queue in queues), default=0)
    turns = [(task, queue[turn][1]) for turn in range(longest) for task, queue in queues if turn < len(queue)]
    return tuple(turns[:limit])


def cluster_grids(
    inputs: ReportInputs,
    tasks: tuple[TaskRow, ...],
    clusters: tuple[tuple[str, int], ...],
    *,
    grid_images: int,
    image_loader: ImageLoader,
    size: ThumbnailFormat,
) -> tuple[ClusterGrid, ...]:
    """Open the pictures of the clusters.

    Args:
        inputs: the run.
        tasks: the tasks.
        clusters: task and number of each cluster to show.
        grid_images: pictures per row at most.
        image_loader: opens an image by URI and sha256.
        size: of the pictures.

    Returns:
        One grid per cluster.
    """
    colours = {row.task: row.colour for row in tasks} | {ALL_TASKS: -1}
    return tuple(
        _grid(inputs, task, cluster, colours[task], grid_images, image_loader, size) for task, cluster in clusters
    )


def _grid(
    inputs: ReportInputs,
    task: str,
    cluster: int,
    colour: int,
    grid_images: int,
    image_loader: ImageLoader,
    size: ThumbnailFormat,
) -> ClusterGrid:
    members = inputs.selection.filter(pc.field("cluster") == cluster)
    if task != ALL_TASKS:
        members = members.filter(pc.field("task") == task)
    # Those that a strategy ranks only when it picks them follow by score.
    order = [("rank", "ascending"), ("score", "descending")]
    rows = members.filter(pc.invert(members["is_reference"])).sort_by(order).to_pylist()
    picked = [row for row in rows if row["picked"]]
    passed = [row for row in rows if not row["picked"]]
    shown_picked = picked[:grid_images]
    shown_passed = [passed[index] for index in evenly_spaced(len(passed), grid_images)]
    uris = _uris(inputs.samples, [row["sample_id"] for row in shown_picked + shown_passed])

    def tiles(chosen: list[dict[str, object]]) -> tuple[Tile, ...]:
        return tuple(_tile(row, uris, image_loader, size) for row in chosen)

    return ClusterGrid(
        task=task,
        colour=colour,
        cluster=cluster,
        picks=len(picked),
        images=len(rows),
        reference=members.num_rows - len(rows),
        picked=tiles(shown_picked),
        passed=tiles(shown_passed),
    )


def _uris(samples: pa.Table, sample_ids: list[object]) -> dict[str, str]:
    rows = samples.filter(pc.is_in(samples["sample_id"], pa.array(sample_ids, pa.string())))
    return dict(zip(rows["sample_id"].to_pylist(), rows["uri"].to_pylist(), strict=True))


def _tile(row: dict[str, object], uris: dict[str, str], image_loader: ImageLoader, size: ThumbnailFormat) -> Tile:
    sample_id = str(row["sample_id"])
    uri = uris.get(sample_id)
    thumbnail = (
        Thumbnail("", "the sample is no longer in the pool")
        if uri is None
        else make_thumbnail(uri, str(row["image_sha"]), image_loader=image_loader, size=size)
    )
    return Tile(thumbnail, sample_id, int(str(row["rank"])), float(str(row["score"])), str(row["reason"]))
