import pytest

from components.report.glance_view import glance_view
from components.report.key_figures import key_figures
from components.report.method_text import METHODS
from tests.components.report.synthetic import make_inputs


@pytest.mark.parametrize(("budget", "told"), [(0.15, True), (1.0, False)])
def test_a_run_that_takes_the_whole_pool_does_not_claim_to_keep_to_a_budget(budget, told):
    figures = key_figures(make_inputs(budget=budget))
    view = glance_view(figures, method=METHODS["presel"], budget="15%")
    note = next(figure.note for figure in view.figures if figure.label == "Picked")
    assert ("of a budget of 15%" in note) == told
