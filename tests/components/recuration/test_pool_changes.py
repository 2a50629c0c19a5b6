import pyarrow as pa

from components.recuration.pool_changes import CHANGED_BYTES, NOT_LISTED, GoneCount, pool_changes
from components.schemas import QUARANTINE, SAMPLES


def pool(*rows):
    full = [
        {
            "sample_id": f"{task}/{sha}",
            "task": task,
            "image_sha": sha,
            "uri": uri,
            "source": "pool.json",
            "record_ids": [f"{task}-{uri}"],
            "near_duplicate_of": "",
        }
        for task, sha, uri in rows
    ]
    return pa.Table.from_pylist(full, schema=SAMPLES)


def refused(*rows):
    full = [
        {"source": "pool.json", "record_id": record_id, "image": "", "reason": reason, "detail": ""}
        for record_id, reason in rows
    ]
    return pa.Table.from_pylist(full, schema=QUARANTINE)


def test_new_changed_gone_and_moved():
    before = pool(("vqa", "a", "1.png"), ("vqa", "b", "2.png"), ("vqa", "c", "3.png"), ("ocr", "d", "4.png"))
    now = pool(
        ("vqa", "a", "moved.png"),  # the same bytes under another name are the same sample
        ("vqa", "B", "2.png"),  # other bytes under the same name are another sample
        ("vqa", "e", "5.png"),
        ("chart", "f", "6.png"),
    )
    changes = pool_changes(before, now, refused(("vqa-3.png", "missing")))
    assert changes.new == ("chart/f", "vqa/B", "vqa/e")
    assert changes.changed == ("vqa/B",)
    assert changes.gone == ("ocr/d", "vqa/b", "vqa/c")
    assert changes.gone_reasons == (
        GoneCount(NOT_LISTED, 1),
        GoneCount("quarantined: missing", 1),
        GoneCount(CHANGED_BYTES, 1),
    )
    assert (changes.new_tasks, changes.gone_tasks) == (("chart",), ("ocr",))
    assert (changes.before, changes.now) == (4, 4)
    assert "3 new images (1 of them changed files), 3 gone" in changes.sentence
    assert "new task chart, task ocr is gone" in changes.sentence


def test_every_gone_sample_has_a_reason():
    before = pool(*(("vqa", f"{at}", f"{at}.png") for at in range(9)))
    changes = pool_changes(before, pool(("vqa", "x", "0.png")), refused(("vqa-1.png", "corrupt")))
    assert sum(item.count for item in changes.gone_reasons) == len(changes.gone) == 9


def test_an_equal_pool_has_not_changed():
    same = pool(("vqa", "a", "1.png"))
    changes = pool_changes(same, same, refused())
    assert (changes.new, changes.gone, changes.sentence) == ((), (), "0 new images, 0 gone")
