"""What a recuration would keep and buy, worked out before anything is bought."""

from collections.abc import Set
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from components.recuration.pool_changes import PoolChanges
from components.selection.budget import parse_budget, resolve_budget
from components.selection.reference_set import choose_reference_set


@dataclass(frozen=True, slots=True)
class RecurationOutlook:
    """A recuration in numbers, all in images.

    Attributes:
        changes: of the pool.
        budget: that may carry an instruction.
        kept: with an instruction that stay.
        lost: with an instruction that left the pool.
        added: that join; none of them was chosen before.
    """

    changes: PoolChanges
    budget: int
    kept: int
    lost: int
    added: int

    @property
    def sentence(self) -> str:
        """The outlook in words."""
        lost = f"; {self.lost:,} belong to images that left the pool" if self.lost else ""
        return (
            f"`presel recurate` would go on from the last curation ({self.changes.sentence}): of {self.budget:,} "
            f"images that may carry an instruction {self.kept:,} have one from it and stay{lost}, and "
            f"{self.added:,} would be added."
        )


def recuration_outlook(
    samples: pa.Table,
    changes: PoolChanges,
    *,
    reference: Set[str],
    picked: Set[str],
    budget: str | int | float,
    share: float,
    seed: int,
    price_per_instruction_usd: float,
) -> RecurationOutlook:
    """Work out how many images a recuration would keep and add.

    Args:
        samples: the pool, columns of `components.schemas.SAMPLES`.
        changes: of the pool since the last curation.
        reference: its reference set.
        picked: what it picked outside of that.
        budget: as in the parameters.
        share: r of the reference set.
        seed: of the run.
        price_per_instruction_usd: dollars that a budget in dollars is divided by.

    Returns:
        The numbers; exact unless images turn out to have no vector.
    """
    ids = samples["sample_id"].to_pylist()
    chosen = choose_reference_set(ids, samples["task"].to_pylist(), share=share, seed=seed, members=reference)
    members = {ids[row] for row in np.flatnonzero(chosen)}
    images = resolve_budget(parse_budget(budget), pool_size=len(ids), dollars_per_image=price_per_instruction_usd)
    stay = (reference | picked) & set(ids)
    total = min(max(images, len(members | stay)), len(ids))
    return RecurationOutlook(changes, images, len(stay), len((reference | picked) - stay), total - len(stay))
