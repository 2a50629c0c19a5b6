import re

import pytest

from bench import scale_table
from bench.scale_table import POOLS, STAGES, THEN, Load, tables
from tests.imports_of import ROOT


def test_the_document_has_the_tables_that_the_script_makes() -> None:
    document = (ROOT / "docs/scale.md").read_text(encoding="utf-8")
    found = re.search(r"<!-- bench\.scale_table -->\n(.*)\n<!-- end -->", document, re.DOTALL)
    assert found
    assert found[1] == tables(), "run python -m bench.scale_table and put what it prints there"


def test_hours_are_those_of_what_is_scarce() -> None:
    assert Load(core_hours=64).hours == 1
    assert Load(core_hours=64, cores=1).hours == 64
    assert Load(core_hours=64, gpu_hours=16).hours == 2
    assert Load(core_hours=64, serial_hours=3).hours == 4


def test_every_stage_takes_more_of_a_larger_pool() -> None:
    assert THEN.keys() == STAGES.keys()
    for stage in STAGES.values():
        hours = [stage(images).hours for images in POOLS]
        assert sorted(hours) == hours
        assert 0 < hours[0] < hours[-1]


def test_clustering_grows_with_the_square_of_a_task_up_to_parts() -> None:
    cluster = STAGES["cluster"]
    small, larger = (cluster(scale_table.TASKS * size).core_hours for size in (40_000, 80_000))
    assert larger == pytest.approx(4 * small)
    assert larger * 3600 == pytest.approx(scale_table.TASKS * 40.5)
    # 50 parts of 20,000, and three passes of 10^6 x 10^4 x 768 multiplications and additions.
    assert cluster(scale_table.TASKS * 10**6).core_hours * 3600 / scale_table.TASKS == pytest.approx(145 + 3 * 307.2)
