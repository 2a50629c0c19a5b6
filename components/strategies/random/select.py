"""The budget, uniformly from the pool."""

import numpy as np
import pyarrow as pa

from components.selection.drawn_selection import draw, drawn_selection


def select_uniformly(samples: pa.Table, *, budget: int, rng: np.random.Generator) -> pa.Table:
    """Draw the budget from the pool.

    Args:
        samples: SAMPLES.
        budget: samples to pick; above the pool all of it.
        rng: source of the draw.

    Returns:
        SELECTION, sorted by sample_id.
    """
    count = min(budget, samples.num_rows)
    picked = draw(samples["sample_id"].to_pylist(), count, rng=rng)
    words = f"{count:,} of the pool's {samples.num_rows:,} samples"
    return drawn_selection(samples, picked, np.full(samples.num_rows, count), [words] * samples.num_rows)
