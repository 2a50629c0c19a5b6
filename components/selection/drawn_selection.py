"""A selection that looks at no image, in the form of all others."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.schemas import CHOSEN, SELECTION
from components.selection.select_random import select_random


def draw(sample_ids: Sequence[str], count: int, *, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw samples uniformly; the draw depends on the set of ids, not on their order.

    Args:
        sample_ids: distinct ids, `n` of them.
        count: samples to draw, 0 to n.
        rng: source of the draw.

    Returns:
        `(n,)`, true for the drawn.
    """
    return select_random(sample_ids, np.zeros(len(sample_ids), dtype=np.bool_), budget=count, rng=rng)


def drawn_selection(
    samples: pa.Table, picked: NDArray[np.bool_], quota: NDArray[np.int64], drawn_from: Sequence[str]
) -> pa.Table:
    """The table of a draw, in which nothing is ranked and every sample was as good as any other.

    Args:
        samples: SAMPLES, `n` rows.
        picked: `(n,)`, true for the drawn.
        quota: `(n,)`, samples drawn from where the sample is.
        drawn_from: how many of how many that is, in words, `n` of them.

    Returns:
        SELECTION, sorted by sample_id.
    """
    count = samples.num_rows
    reasons = [
        f"{'drawn' if drawn else 'not drawn'}: {text} are" for drawn, text in zip(picked, drawn_from, strict=True)
    ]
    columns = [
        *(samples[name] for name in CHOSEN.names),
        pa.array(np.full(count, -1)),
        pa.array(np.zeros(count, dtype=bool)),
        pa.array(np.full(count, np.nan)),
        pa.array(np.zeros(count, dtype=np.int64)),
        pa.array(quota.astype(np.int64)),
        pa.array(picked),
        pa.array(picked.astype(np.int64)),
        pa.array(reasons, pa.string()),
    ]
    return pa.table(columns, schema=SELECTION).sort_by("sample_id").combine_chunks()
