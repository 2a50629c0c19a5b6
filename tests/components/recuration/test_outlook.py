import pyarrow as pa
import pytest

from components.recuration.outlook import recuration_outlook
from components.recuration.pool_changes import pool_changes
from components.schemas import QUARANTINE, SAMPLES


def pool(count, *, first=0):
    rows = [
        {
            "sample_id": f"vqa/{at:03d}",
            "task": "vqa",
            "image_sha": f"{at}",
            "uri": f"{at}.png",
            "source": "pool.json",
            "record_ids": [f"{at}"],
            "near_duplicate_of": "",
        }
        for at in range(first, first + count)
    ]
    return pa.Table.from_pylist(rows, schema=SAMPLES)


def outlook(before, now, *, reference, picked, budget="20%"):
    changes = pool_changes(before, now, QUARANTINE.empty_table())
    return recuration_outlook(
        now,
        changes,
        reference=reference,
        picked=picked,
        budget=budget,
        share=0.05,
        seed=1,
        price_per_instruction_usd=0.02,
    )


REFERENCE = frozenset(f"vqa/{at:03d}" for at in range(5))
PICKED = frozenset(f"vqa/{at:03d}" for at in range(5, 20))


@pytest.mark.parametrize(("size", "added"), [(100, 0), (110, 2), (140, 8)])
def test_what_is_added_is_what_the_budget_leaves(size, added):
    found = outlook(pool(100), pool(size), reference=REFERENCE, picked=PICKED)
    assert (found.budget, found.kept, found.lost, found.added) == (size // 5, 20, 0, added)
    assert f"{added:,} would be added" in found.sentence


def test_what_left_the_pool_is_replaced():
    found = outlook(pool(100), pool(100, first=10), reference=REFERENCE, picked=PICKED)
    assert (found.kept, found.lost, found.added) == (10, 10, 10)
    assert "10 belong to images that left the pool" in found.sentence


def test_a_smaller_budget_throws_nothing_away():
    found = outlook(pool(100), pool(101), reference=REFERENCE, picked=PICKED, budget=10)
    # The reference set asks for one more member; it may come from the picks.
    assert found.kept == 20
    assert found.added <= 1
