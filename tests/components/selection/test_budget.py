from fractions import Fraction

import pytest

from components.selection.budget import Budget, budget_text, images_to_select, parse_budget, resolve_budget


@pytest.mark.parametrize(
    ("written", "amount", "unit"),
    [
        ("15%", Fraction(15, 100), "share"),
        (" 12.5 % ", Fraction(125, 1000), "share"),
        ("100%", Fraction(1), "share"),
        (0.15, Fraction(15, 100), "share"),
        ("0.15", Fraction(15, 100), "share"),
        (450, Fraction(450), "images"),
        ("450", Fraction(450), "images"),
        ("1,250,000", Fraction(1_250_000), "images"),
        ("4_500", Fraction(4500), "images"),
        (1, Fraction(1), "images"),
        ("$20", Fraction(20), "dollars"),
        ("$ 1,250.50", Fraction(125050, 100), "dollars"),
    ],
)
def test_forms(written, amount, unit):
    assert parse_budget(written) == Budget(amount, unit)


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("", "is not understood; write a share"),
        ("some", "'some' is not understood"),
        ("-5", "'-5' is not understood"),
        (-0.1, "-0.1 is not understood"),
        (1.0, "1.0 is not understood"),
        (1.5, "1.5 is not understood"),
        (float("nan"), "nan is not understood"),
        (True, "True is not understood"),
        ("20 €", "is not understood"),
        ("1,25", "is not understood"),
        (0, "0 buys nothing"),
        ("0%", "'0%' buys nothing"),
        (0.0, "0.0 buys nothing"),
        ("$0", "buys nothing"),
        ("150%", "'150%' is more than the whole pool"),
    ],
)
def test_other_forms_are_refused(written, complaint):
    with pytest.raises(ValueError, match=complaint.replace("$", r"\$")):
        parse_budget(written)


def test_a_budget_becomes_images_without_rounding_errors():
    assert resolve_budget(parse_budget("15%"), pool_size=2270, dollars_per_image=0) == 340
    assert resolve_budget(parse_budget(0.29), pool_size=100, dollars_per_image=0) == 29
    assert 0.29 * 100 < 29
    assert resolve_budget(parse_budget("$0.30"), pool_size=100, dollars_per_image=0.1) == 3
    assert 0.3 / 0.1 < 3
    assert resolve_budget(parse_budget(450), pool_size=100, dollars_per_image=0.02) == 450


def test_a_budget_that_buys_nothing_is_named():
    with pytest.raises(ValueError, match="1% of 50 samples, comes to no image"):
        resolve_budget(parse_budget("1%"), pool_size=50, dollars_per_image=0)
    with pytest.raises(ValueError, match=r"\$0.01 at \$0.02 per image, comes to no image"):
        resolve_budget(parse_budget("$0.01"), pool_size=50, dollars_per_image=0.02)
    with pytest.raises(ValueError, match="pool has 0 samples"):
        resolve_budget(parse_budget("15%"), pool_size=0, dollars_per_image=0)


@pytest.mark.parametrize("price", [0, -1.0, float("inf"), float("nan")])
def test_dollars_need_a_price(price):
    with pytest.raises(ValueError, match=f"price per image above zero, got {price}"):
        resolve_budget(parse_budget("$20"), pool_size=50, dollars_per_image=price)


def test_what_is_left_after_the_reference_set():
    assert images_to_select(340, 113) == 227
    with pytest.raises(ValueError, match=r"budget of 113 images leaves nothing .* reference set of 113; raise"):
        images_to_select(113, 113)


@pytest.mark.parametrize(
    ("given", "text"), [("15%", "15%"), (0.15, "15%"), ("0.15", "15%"), (4500, "4,500 images"), ("$20.50", "$20.5")]
)
def test_one_form_for_all_ways_to_write_it(given, text):
    assert budget_text(parse_budget(given)) == text
