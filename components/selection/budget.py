"""How many images may carry an instruction: a budget given as a share, a count or dollars."""

import re
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Literal

BudgetUnit = Literal["share", "images", "dollars"]

_FORMS = 'a share ("15%" or 0.15), a count of images (450) or dollars ("$20")'
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_DOLLARS = re.compile(r"\$\s*(\d+(?:[,_]\d{3})*(?:\.\d+)?)")
_COUNT = re.compile(r"\d+(?:[,_]\d{3})*")
_DECIMAL = re.compile(r"\d*\.\d+")


@dataclass(frozen=True, slots=True)
class Budget:
    """The size of the training set, the reference set included.

    Attributes:
        amount: exact, in `unit`.
        unit: `share` of the pool's samples (0 < amount <= 1), number of `images`, or `dollars`.
    """

    amount: Fraction
    unit: BudgetUnit


def parse_budget(value: str | int | float) -> Budget:
    """Read a budget as a person writes it.

    Args:
        value: "15%", 0.15 or "0.15" (share); 450, "450" or "4,500" (images); "$20" or "$1,250.50" (dollars).

    Returns:
        The budget, exact to the decimals given.

    Raises:
        ValueError: none of these forms, zero, or a share above 100 %.
    """
    text = "" if isinstance(value, bool) else str(value).strip()
    if match := _PERCENT.fullmatch(text):
        budget = Budget(Fraction(match[1]) / 100, "share")
    elif match := _DOLLARS.fullmatch(text):
        budget = Budget(Fraction(re.sub("[,_]", "", match[1])), "dollars")
    elif _COUNT.fullmatch(text):
        budget = Budget(Fraction(re.sub("[,_]", "", text)), "images")
    elif _DECIMAL.fullmatch(text) and Fraction(text) < 1:
        budget = Budget(Fraction(text), "share")
    else:
        raise ValueError(f"budget {value!r} is not understood; write {_FORMS}")
    if budget.amount == 0:
        raise ValueError(f"budget {value!r} buys nothing; write {_FORMS} above zero")
    if budget.unit == "share" and budget.amount > 1:
        raise ValueError(f"budget {value!r} is more than the whole pool; a share is at most 100%")
    return budget


def budget_text(budget: Budget) -> str:
    """A budget in one form, however it was given: "15%", "450 images" or "$20"."""
    if budget.unit == "share":
        return f"{float(budget.amount * 100):g}%"
    if budget.unit == "dollars":
        return f"${float(budget.amount):,g}"
    return f"{int(budget.amount):,} images"


def resolve_budget(budget: Budget, *, pool_size: int, dollars_per_image: float) -> int:
    """Turn a budget into a number of images, rounded down; it may exceed the pool.

    Args:
        budget: as parsed.
        pool_size: samples of the pool, at least 1.
        dollars_per_image: price of one image's instruction; only a budget in dollars needs one above zero.

    Returns:
        Images that may carry an instruction, reference set included, at least 1.

    Raises:
        ValueError: the budget comes to no image, the pool is empty, or dollars meet a price of zero.
    """
    if pool_size < 1:
        raise ValueError(f"the pool has {pool_size} samples; there is nothing to choose from")
    if budget.unit == "dollars":
        if not 0 < dollars_per_image < float("inf"):
            raise ValueError(
                f"a budget in dollars needs a price per image above zero, got {dollars_per_image}; "
                "set the provider's price or give the budget as a share or a count"
            )
        images = floor(budget.amount / Fraction(repr(float(dollars_per_image))))
        terms = f"${float(budget.amount):g} at ${dollars_per_image:g} per image"
    elif budget.unit == "share":
        images = floor(budget.amount * pool_size)
        terms = f"{float(budget.amount * 100):g}% of {pool_size} samples"
    else:
        images = floor(budget.amount)
        terms = f"{images} images"
    if images < 1:
        raise ValueError(f"the budget, {terms}, comes to no image at all; raise it")
    return images


def images_to_select(budget_images: int, reference_count: int) -> int:
    """|D_S|: what is left of the budget once the reference set is annotated.

    Args:
        budget_images: images of the whole budget.
        reference_count: images of the reference set.

    Returns:
        Images to select, at least 1.

    Raises:
        ValueError: the reference set uses up the budget.
    """
    left = budget_images - reference_count
    if left < 1:
        raise ValueError(
            f"the budget of {budget_images} images leaves nothing to select after the reference set of "
            f"{reference_count}; raise the budget above {reference_count} images or lower the share of the "
            "reference set"
        )
    return left
