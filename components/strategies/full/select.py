"""The whole pool."""

import numpy as np
import pyarrow as pa

from components.selection.drawn_selection import drawn_selection


def select_everything(samples: pa.Table) -> pa.Table:
    """Take every sample.

    Args:
        samples: SAMPLES.

    Returns:
        SELECTION, sorted by sample_id.
    """
    count = samples.num_rows
    return drawn_selection(
        samples, np.ones(count, dtype=np.bool_), np.full(count, count), [f"all {count:,} samples"] * count
    )
