import numpy as np
import pyarrow as pa

from components.recuration.kept_quotas import count_kept, kept_ids, kept_quotas
from components.schemas import CLUSTERS, INSTRUCTIONS, SCORES, SELECTION
from components.selection.cluster_cells import count_cluster_cells
from components.strategies.presel.reference_model import join_scores, scores_that_hold


def clusters(*rows):
    full = [
        {"sample_id": name, "task": task, "image_sha": name, "cluster": cluster, "distance": 0.0}
        for name, task, cluster in rows
    ]
    return pa.Table.from_pylist(full, schema=CLUSTERS)


def test_what_is_kept_is_counted_where_it_is_now():
    table = clusters(("1", "a", 0), ("2", "a", 0), ("3", "a", 1), ("4", "b", 0), ("5", "b", 0))
    is_reference = np.array([False, True, False, False, False])
    cells = count_cluster_cells(table["task"].to_pylist(), table["cluster"].to_numpy(), is_reference)
    # 2 has joined the reference set, 9 has left the pool.
    kept = count_kept(table, pa.array(["1", "2", "4", "5", "9"]), is_reference, cells)
    assert kept.tolist() == [1, 0, 2]
    quotas = kept_quotas(cells, kept, np.array([2, 1, 1]))
    assert quotas.to_pylist() == [
        {"task": "a", "cluster": 0, "kept": 1, "due": 2, "over": 0},
        {"task": "b", "cluster": 0, "kept": 2, "due": 1, "over": 1},
    ]


def test_only_picks_outside_the_reference_set_are_kept():
    rows = [("1", True, False), ("2", False, True), ("3", False, False)]
    table = pa.Table.from_pylist(
        [{"sample_id": name, "picked": picked, "is_reference": member} for name, picked, member in rows],
        schema=pa.schema([SELECTION.field(name) for name in ("sample_id", "picked", "is_reference")]),
    )
    assert kept_ids(table).to_pylist() == ["1"]


def test_scores_hold_as_long_as_the_instruction_is_the_same():
    def instructed(**answers):
        rows = [{"sample_id": name, "turns": [{"question": "?", "response": said}]} for name, said in answers.items()]
        return pa.Table.from_pylist(rows, schema=INSTRUCTIONS)

    scores = pa.Table.from_pylist([{"sample_id": name, "task": "t"} for name in "abc"], schema=SCORES)
    held = scores_that_hold(scores, instructed(a="1", b="2", c="3"), instructed(a="1", b="changed", d="4"))
    assert held["sample_id"].to_pylist() == ["a"]
    added = pa.Table.from_pylist([{"sample_id": "B", "task": "t"}], schema=SCORES)
    assert join_scores(held, added)["sample_id"].to_pylist() == ["B", "a"]
