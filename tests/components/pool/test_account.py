"""Every record is accounted for: in = samples + merged + left out, by source, and said in words."""

import json
import math

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.compute.local import LocalEngine
from components.compute.progress import no_progress
from components.pool.account import account_sentences, reason_examples
from components.pool.ingest import ingest
from tests.components.pool.conftest import options, source, textured


def run(tmp_path, *sources, **given):
    return ingest(
        sources,
        options(**given),
        known_images=tmp_path / "known",
        progress=no_progress,
        engine=LocalEngine(),
        processes=0,
    )


def draw(tmp_path, count):
    (tmp_path / "images").mkdir(exist_ok=True)
    for number in range(count):
        textured(number).save(tmp_path / "images" / f"{number}.png")


def pool(tmp_path, name, records):
    (tmp_path / name).write_text(json.dumps(records))
    return source("llava_json", tmp_path / name, tmp_path / "images")


def test_the_account_names_every_source_and_reason(tmp_path):
    draw(tmp_path, 2)
    good = {"image": "0.png", "task": "t"}
    first = pool(
        tmp_path, "a.json", [good, good, {"images": ["1.png"], "task": "t"}, {"file_name": "1.png", "id": "x"}]
    )
    second = pool(tmp_path, "b.json", [good, {"image": "9.png", "task": "t"}])
    result = run(tmp_path, first, second)
    assert result.records.to_pylist() == [
        {"source": first.path, "records": 4, "samples": 2, "merged": 1, "quarantined": 1},
        {"source": second.path, "records": 2, "samples": 0, "merged": 1, "quarantined": 1},
    ]
    assert account_sentences(result.records, result.quarantine) == (
        "6 records: 2 samples, 2 more of the same samples, 2 left out (1 invalid_record, 1 missing)",
        f"{first.path}: 4 records: 2 samples, 1 more of the same samples, 1 left out (1 invalid_record)",
        f"{second.path}: 2 records: 0 samples, 1 more of the same samples, 1 left out (1 missing)",
    )
    examples = list(reason_examples(result.quarantine))
    assert [line.partition(",")[0] for line in examples] == ["invalid_record", "missing"]
    assert "it has file_name '1.png'" in examples[0]


def test_nothing_left_out_is_said_too(tmp_path):
    draw(tmp_path, 1)
    result = run(tmp_path, pool(tmp_path, "a.json", [{"image": "0.png", "task": "t"}]))
    assert account_sentences(result.records, result.quarantine) == ("1 records: 1 samples, 0 left out",)


IMAGES = st.sampled_from(
    ["0.png", "1.png", "./0.png", "gone.png", "../x.png", "", None, 5, ["0.png"], ["0.png", "1.png"]]
)
IDS = st.sampled_from(["a", "b", 1, 1.0, math.nan, None, "", True, ["a"]])
RECORDS: st.SearchStrategy[object] = st.one_of(
    st.fixed_dictionaries(
        {"task": st.sampled_from(["t", "u", 5, None])},
        optional={"image": IMAGES, "images": IMAGES, "id": IDS, "conversations": st.just([{"value": "q"}])},
    ),
    st.sampled_from(["text", 5, None, []]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(RECORDS, max_size=8), st.lists(RECORDS, max_size=4), st.booleans())
def test_in_is_samples_and_merged_and_left_out_whatever_the_records(tmp_path, first, second, keep):
    if not (tmp_path / "images").exists():
        draw(tmp_path, 2)
    certain = [{"image": "0.png", "task": "t"}]
    sources = [pool(tmp_path, "a.json", certain + first), pool(tmp_path, "b.json", certain + second)]
    result = run(tmp_path, *sources, keep_near_duplicates=keep)
    rows = result.records.to_pylist()
    assert [row["records"] for row in rows] == [1 + len(first), 1 + len(second)]
    assert all(row["records"] == row["samples"] + row["merged"] + row["quarantined"] for row in rows)
    assert all(row["merged"] >= 0 for row in rows)
    assert sum(row["samples"] for row in rows) == result.samples.num_rows
    assert sum(row["quarantined"] for row in rows) == result.quarantine.num_rows
