from components.report.task_rows import task_rows
from tests.components.report.synthetic import make_inputs


def test_only_the_largest_tasks_have_colours_of_their_own():
    rows = task_rows(make_inputs({f"t{i}": (40 + i, 0.5) for i in range(12)}, sets=()))
    assert {row.task for row in rows if row.colour >= 0} == {f"t{i}" for i in range(4, 12)}


def test_tasks_are_in_order_of_weight_and_their_shares_add_up():
    inputs = make_inputs()
    rows = task_rows(inputs)
    assert [row.weight for row in rows] == sorted((row.weight for row in rows), reverse=True)
    assert sum(row.picked for row in rows) == round(0.15 * inputs.samples.num_rows)
    assert abs(sum(row.pool_share for row in rows) - 1) < 1e-9
    assert abs(sum(row.pick_share for row in rows) - 1) < 1e-9
