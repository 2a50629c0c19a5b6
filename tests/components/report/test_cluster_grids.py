from components.report.cluster_grids import cluster_grids, grid_clusters_of
from components.report.task_rows import task_rows
from components.report.thumbnails import ThumbnailFormat
from tests.components.report.synthetic import make_inputs
from tests.components.report.synthetic_pool import draw_image


def test_grids_take_turns_between_tasks_and_show_the_border_of_the_quota():
    inputs = make_inputs()
    tasks = task_rows(inputs)
    clusters = grid_clusters_of(inputs.selection, tasks, 9)
    assert [task for task, _ in clusters[:7]] == [row.task for row in tasks]
    grids = cluster_grids(inputs, tasks, clusters, grid_images=5, image_loader=draw_image, size=ThumbnailFormat(32, 70))
    selection = {row["sample_id"]: row for row in inputs.selection.to_pylist()}
    for grid in grids:
        picked = [selection[tile.sample_id] for tile in grid.picked]
        passed = [selection[tile.sample_id] for tile in grid.passed]
        assert [row["rank"] for row in picked] == list(range(1, len(picked) + 1))
        assert all(row["picked"] for row in picked)
        assert passed[0]["rank"] == passed[0]["quota"] + 1
        assert not any(row["picked"] or row["is_reference"] for row in passed)
        assert {row["task"] for row in picked + passed} == {grid.task}
