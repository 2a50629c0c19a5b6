"""A selection that looks at no image, in the form of all others."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.schemas import CHOSEN, SELECTION


def select_random(
    sample_ids: Sequence[str], is_reference: NDArray[np.bool_], *, budget: int, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Pick uniformly at random outside the reference set: the baseline, and the filling of a shortfall.

    The draw depends on the set of ids, not on their order. To fill what profile `released` left unspent, as
    the authors do, mark the picked images as reference images too.

    Args:
        sample_ids: distinct ids, `n` of them.
        is_reference: `(n,)`, true for images that must not be picked.
        budget: images to pick, 0 to the images outside the reference set.
        rng: source of the draw.

    Returns:
        `(n,)`, true for picked images.

    Raises:
        ValueError: the lengths differ or there are too few images.
    """
    if len(sample_ids) != len(is_reference):
        raise ValueError(f"{len(sample_ids)} sample ids but {len(is_reference)} reference marks; give one per sample")
    free = sorted(np.flatnonzero(~is_reference).tolist(), key=lambda row: sample_ids[row])
    if not 0 <= budget <= len(free):
        raise ValueError(f"cannot pick {budget} images at random: {len(free)} are outside the reference set")
    picked = np.zeros(len(sample_ids), dtype=np.bool_)  # (n,)
    picked[rng.permutation(np.array(free, dtype=np.int64))[:budget]] = True
    return picked


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
