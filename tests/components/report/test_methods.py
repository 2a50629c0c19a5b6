"""The page of every other strategy than PreSel."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from markupsafe import escape

from components import schemas
from components.report.inputs import CoincideEvidence, Costs, ReportInputs, TiveEvidence
from components.report.method_text import METHODS
from components.report.report import build_report
from components.strategies.load import load_strategy
from components.strategies.names import STRATEGY_NAMES
from tests.components.report.synthetic import make_inputs
from tests.components.report.synthetic_pool import draw_image


def without_presel(strategy: str) -> ReportInputs:
    """The synthetic run as another strategy would leave it."""
    inputs = make_inputs()
    selection = inputs.selection.set_column(
        4, schemas.SELECTION.field("is_reference"), pa.array(np.zeros(inputs.selection.num_rows, bool))
    )
    if strategy not in ("coincide", "size_balanced"):
        nowhere = pa.array(np.full(selection.num_rows, -1))
        selection = selection.set_column(3, schemas.SELECTION.field("cluster"), nowhere)
    costs = inputs.costs
    if load_strategy(strategy).reads_pool_instructions:
        everything = costs.all_instructions
        costs = Costs(everything, costs.all_usd, everything, costs.all_usd, 0.02, everything, costs.all_usd)
    return replace(
        inputs,
        strategy=strategy,
        reference=schemas.CHOSEN.empty_table(),
        scores=schemas.SCORES.empty_table(),
        importance=schemas.IMPORTANCE.empty_table(),
        clusters=schemas.CLUSTERS.empty_table(),
        allocation=inputs.allocation if strategy == "size_balanced" else schemas.ALLOCATION.empty_table(),
        selection=selection,
        costs=costs,
        tive=tive_evidence(inputs) if strategy == "tive" else None,
        coincide=coincide_evidence() if strategy == "coincide" else None,
    )


def tive_evidence(inputs: ReportInputs) -> TiveEvidence:
    influence = [
        {**row, "gradient_norm": 1.0, "influence": 0.3, "probability": 0.01}
        for row in inputs.samples.select(schemas.CHOSEN.names).to_pylist()
    ]
    difficulty = [
        {"task": task, "samples": 100, "difficulty": value, "share": 0.5, "quota": 40, "uniform_distance": 0.0002}
        for task, value in (("color", 1.5), ("shape", 3.0))
    ]
    return TiveEvidence(
        warm_up=inputs.reference,
        influence=pa.Table.from_pylist(influence, schema=schemas.INFLUENCE),
        difficulty=pa.Table.from_pylist(difficulty, schema=schemas.DIFFICULTY),
        sampling_q=0.001,
    )


def coincide_evidence() -> CoincideEvidence:
    rows = [
        {"cluster": c, "size": 10, "transferability": 0.4, "density": 0.6, "share": 1 / 30, "quota": 10 if c < 3 else 0}
        for c in range(30)
    ]
    return CoincideEvidence(pa.Table.from_pylist(rows, schema=schemas.CONCEPT_SHARES))


def page_of(strategy: str) -> str:
    return build_report(
        without_presel(strategy), map_points=200, grid_clusters=3, grid_images=4, image_loader=draw_image
    )


@pytest.mark.parametrize("strategy", [name for name in STRATEGY_NAMES if name != "presel"])
def test_the_page_is_in_the_strategys_words(strategy):
    page = page_of(strategy)
    assert str(escape(METHODS[strategy].chosen)) in page
    shown = page.split("<main>")[1].split('id="map-data"')[0]
    assert "reference set" not in shown
    assert "Instruction Relevance Score" not in page
    assert ('id="difficulty"' in page) == (strategy == "tive")
    assert ('id="concepts"' in page) == (strategy == "coincide")
    assert ('id="clusters"' in page) == bool(METHODS[strategy].score)


def test_tive_says_how_far_from_uniform_the_draw_was():
    page = page_of("tive")
    assert "uniform in effect" in page
    section = page.split('id="difficulty"')[1]
    assert section.index("shape") < section.index("color"), "the most difficult task comes first"


def test_coincide_says_what_became_of_the_clusters():
    page = page_of("coincide")
    assert "3 were taken whole and 27 got nothing" in page
    assert "5 more clusters with 50 samples got 0 picks" in page
    assert "all tasks" in page


def test_a_strategy_that_reads_everything_does_not_claim_to_save():
    page = page_of("tive")
    assert "That took an instruction for every sample" in page
    assert "annotating the whole pool would have cost" not in page
    assert "deserve to be tuned on" in page
