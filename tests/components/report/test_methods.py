"""The page of every other strategy than PreSel."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from markupsafe import escape

from components import schemas
from components.report.inputs import Costs, ReportInputs
from components.report.report import build_report
from components.report.strategy_report import Evidence, NoEvidence, Section, StrategyReport, load_strategy_report
from components.strategies.coincide.report import CoincideEvidence
from components.strategies.load import load_strategy
from components.strategies.names import STRATEGY_NAMES
from components.strategies.presel.report import PreselEvidence
from components.strategies.size_balanced.report import SizeBalancedEvidence
from components.strategies.tive.report import TiveEvidence
from tests.components.report.html_page import Page
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
        strategy=load_strategy_report(strategy),
        reference=schemas.CHOSEN.empty_table(),
        selection=selection,
        costs=costs,
        evidence=evidence_of(strategy, inputs),
    )


def evidence_of(strategy: str, inputs: ReportInputs) -> Evidence:
    """What the strategy would have computed."""
    assert isinstance(inputs.evidence, PreselEvidence)
    if strategy == "tive":
        return tive_evidence(inputs)
    if strategy == "coincide":
        return coincide_evidence()
    if strategy == "size_balanced":
        return SizeBalancedEvidence(inputs.evidence.allocation)
    return NoEvidence({})


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
    return build_report(without_presel(strategy), grid_clusters=3, grid_images=4, image_loader=draw_image)


@pytest.mark.parametrize("strategy", [name for name in STRATEGY_NAMES if name != "presel"])
def test_the_page_is_in_the_strategys_words(strategy):
    page = page_of(strategy)
    assert str(escape(load_strategy_report(strategy).chosen)) in page
    shown = page.split("<main>")[1].split('id="map-data"')[0]
    assert "reference set" not in shown
    assert "Instruction Relevance Score" not in page
    assert ('id="difficulty"' in page) == (strategy == "tive")
    assert ('id="concepts"' in page) == (strategy == "coincide")
    assert ('id="clusters"' in page) == bool(load_strategy_report(strategy).score)


def test_a_strategy_that_reads_everything_does_not_claim_to_save():
    page = page_of("tive")
    assert "That took an instruction for every sample" in page
    assert "annotating the whole pool would have cost" not in page
    assert "deserve to be tuned on" in page


@dataclass(frozen=True, slots=True)
class ToyEvidence:
    """Tasks are worth what their names are long."""

    weights: Mapping[str, float]
    template: Path

    def sections(self, run, tasks):
        numbers = {row.task: row.weight for row in tasks}
        return (Section("letters", "Letters", self.template, numbers),)


def test_a_strategy_of_ones_own_brings_its_words_and_its_section(tmp_path):
    template = tmp_path / "letters.html"
    template.write_text(
        '<section id="{{ section.anchor }}">{% for task, weight in section.numbers.items() %}{{ task }} is worth '
        "{{ weight|percent(0) }} of {{ figures.samples|count }}; {% endfor %}</section>"
    )
    inputs = make_inputs({"<b>": (40, 0.5), "longest": (40, 0.5)}, sets=())
    toy = StrategyReport(title="the alphabet", chosen="by their letters")
    html = build_report(
        replace(inputs, strategy=toy, evidence=ToyEvidence({"<b>": 0.3, "longest": 0.7}, template)),
        grid_clusters=3,
        grid_images=4,
        image_loader=draw_image,
    )
    page = Page(html)
    assert "longest is worth 70 % of 80; <b> is worth 30 % of 80;" in page.words(), "escaped, in their order"
    assert "#letters" in page.values("href")
    assert "were chosen by their letters." in page.words()
    assert {"importance", "quotas", "clusters"}.isdisjoint(page.values("id"))
