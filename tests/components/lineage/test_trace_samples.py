"""Samples walked back, in groups and one by one."""

import json

import pyarrow as pa

from components.lineage.ledger_history import RequestHistory
from components.lineage.lock_file import LockedPath
from components.lineage.model_lineage import ModelFacts, ModelLineage, RunFacts, lineage_json
from components.lineage.trace_samples import TracedSample, template_name, trace_samples
from components.lineage.tree_text import lineage_tree
from components.schemas import INSTRUCTIONS, SELECTION, TRAINING_SAMPLES


def rows(schema: pa.Schema, values: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist([dict.fromkeys(schema.names) | row for row in values], schema=schema)


def traced() -> tuple[TracedSample, ...]:
    training_set = rows(
        TRAINING_SAMPLES,
        [
            {"sample_id": "a/1", "task": "a", "uri": "1.png", "image_sha": "1", "origin": "reference", "copies": 1},
            {"sample_id": "b/2", "task": "b", "uri": "2.png", "image_sha": "2", "origin": "selection", "copies": 2},
            {"sample_id": "b/3", "task": "b", "uri": "3.png", "image_sha": "3", "origin": "selection", "copies": 1},
        ],
    )
    nothing = float("nan")
    common = {"picked": True, "copies": 1}
    selection = rows(
        SELECTION,
        [
            {**common, "sample_id": "a/1", "cluster": 4, "is_reference": True, "score": nothing, "rank": 0, "quota": 7}
            | {"reason": "in the reference set"},
            {**common, "sample_id": "b/2", "cluster": 0, "is_reference": False, "score": 0.75, "rank": 1, "quota": 2}
            | {"reason": "rank 1 of 9"},
            {**common, "sample_id": "b/3", "cluster": 1, "is_reference": False, "score": 0.5, "rank": 2, "quota": 2}
            | {"reason": "rank 2 of 9"},
        ],
    )
    bought = {"provider": "openai", "model": "gpt", "attempts": 1}
    instructions = {
        "reference": rows(INSTRUCTIONS, [{**bought, "sample_id": "a/1", "request_id": "r1", "price_usd": 0.5}]),
        "selection": rows(
            INSTRUCTIONS,
            [
                {**bought, "sample_id": "b/2", "request_id": "r2", "price_usd": 0.25},
                {**bought, "sample_id": "b/3", "request_id": "r3", "price_usd": 0.125},
            ],
        ),
    }
    histories = {
        name: RequestHistory(name, "answered", "openai", "gpt", "Ask.", "{}", (), 1, 0.5, 0.5, "run", asked, answered)
        for name, asked, answered in (
            ("r1", "2026-01-02T03:04:05.000+00:00", "2026-01-02T03:04:09.000+00:00"),
            ("r2", "2026-02-02T03:04:05.000+00:00", "2026-02-02T03:05:09.000+00:00"),
        )
    }
    return trace_samples(training_set, selection, instructions, histories)


def lineage() -> ModelLineage:
    return ModelLineage(
        ModelFacts("small", "3", ("champion",), "2026-03-01 00:00 UTC", "promoted: better", "2026-03-02", "someone"),
        RunFacts("run1", "curate .", ".", "2026-03-01", "presel", "c0ffee", True, "f" * 64, "", 0.875),
        adapter=LockedPath("data/model", "model.dir", 1),
        training_set=LockedPath("data/training_set", "training_set.dir", 1),
        selection=LockedPath("data/selection", "selection.dir", 1),
        pool=LockedPath("data/manifest", "manifest.dir", 1),
        pool_samples=100,
        samples=traced(),
        parameters="seed: 1",
    )


def test_every_sample_has_its_reason_and_its_author() -> None:
    first, second, third = traced()
    assert (first.choice.origin, first.choice.cluster, first.choice.quota) == ("reference", 4, 0)
    assert (second.choice.score, second.choice.rank, second.choice.reason) == (0.75, 1, "rank 1 of 9")
    assert (second.author.request_id, second.author.price_usd, second.copies) == ("r2", 0.25, 2)
    assert second.author.template == template_name("Ask.")
    assert second.author.asked_at.startswith("2026-02-02")
    assert (third.author.asked_at, third.author.template) == ("", ""), "the ledger does not know r3"


def test_groups_add_up() -> None:
    one = lineage()
    assert sum(group.samples for group in one.authors) == 3
    assert sum(group.price_usd for group in one.authors) == 0.875
    known = next(group for group in one.authors if group.origin == "selection" and group.template)
    assert (known.samples, known.first_at[:10], known.last_at[:10]) == (1, "2026-02-02", "2026-02-02")
    assert [(group.task, group.by_origin, group.clusters) for group in one.tasks] == [
        ("a", (("reference", 1),), 1),
        ("b", (("selection", 2),), 2),
    ]


def test_the_tree_names_everything_on_the_way_back() -> None:
    tree = lineage_tree(lineage(), samples=traced()[1:2])
    for text in (
        "small/3 (champion)",
        "promoted: better, 2026-03-02, by someone",
        "commit c0ffee with changes",
        "adapter  data/model model",
        "3 samples",
        "by openai gpt, template sha256:",
        "not in the ledger",
        "pool  data/manifest manifest: 100 samples",
        "b/2  2.png",
        "rank 1 of 9; cluster 0; score 0.7500; rank 1, quota 2",
    ):
        assert text in tree
    assert "b/3" not in tree


def test_json_holds_what_is_asked_for_and_no_nan() -> None:
    summary = json.loads(lineage_json(lineage()))
    assert (summary["samples"], summary["training_samples"], summary["run"]["cost_usd"]) == ([], 3, 0.875)
    everything = json.loads(lineage_json(lineage(), samples=traced()))
    assert everything["samples"][0]["choice"]["score"] is None
    assert everything["samples"][1]["author"]["request_id"] == "r2"
