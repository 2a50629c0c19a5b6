"""Whether new images still look like those that a task's clusters were made of."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LEAST = 2  # values per side that a variance needs


@dataclass(frozen=True, slots=True)
class Drift:
    """New against old images of one task, by squared distance to the nearest centroid.

    Attributes:
        old_images: images that shaped the centroids and are compared.
        new_images: images that did not.
        old_mean: mean squared distance of the old, each to its centroid without itself; NaN where there is none.
        new_mean: mean squared distance of the new; NaN where there is none.
        ratio: new over old, above 1: the new lie further off; NaN where one side lacks.
        p_value: of Welch's one-sided test that the new do not lie further off, 0 to 1; NaN where a side has
            fewer than two images.
    """

    old_images: int
    new_images: int
    old_mean: float
    new_mean: float
    ratio: float
    p_value: float

    def is_beyond(self, *, ratio: float, significance: float) -> bool:
        """Whether the new images lie so far off that the clusters should be made again.

        Both must hold: with many images a difference that matters to nobody is significant, with few a large one
        is chance.
        """
        return bool(self.ratio > ratio and self.p_value < significance)


def measure_drift(
    old_distances: NDArray[np.floating], old_sizes: NDArray[np.int64], new_distances: NDArray[np.floating]
) -> Drift:
    """Compare the distances of new images to the centroids with those of the images that shaped them.

    A centroid is pulled towards its own members, so a member lies nearer to it than an equally typical image that
    came later. The member is therefore measured against the centroid of the others: with n members
    x - c' = n / (n - 1) (x - c).

    Args:
        old_distances: `(n,)` Euclidean distance of each shaping image to its centroid.
        old_sizes: `(n,)` images that the centroid is the mean of; where it is one, nothing is left without it and
            the image is not compared.
        new_distances: `(m,)` Euclidean distance of each other image to its nearest centroid.

    Returns:
        Both means, their ratio and how surprising it is.

    Raises:
        ValueError: the lengths differ or a size is below 1.
    """
    if len(old_distances) != len(old_sizes):
        raise ValueError(f"{len(old_distances)} distances but {len(old_sizes)} sizes; give one size per distance")
    if len(old_sizes) and old_sizes.min() < 1:
        raise ValueError(f"a centroid is the mean of {old_sizes.min()} images; at least 1 is needed")
    compared = old_sizes > 1  # (n,)
    sizes = old_sizes[compared].astype(np.float64)
    old = (sizes / (sizes - 1) * old_distances[compared].astype(np.float64)) ** 2
    new = new_distances.astype(np.float64) ** 2  # (m,)
    old_mean = float(old.mean()) if old.size else float("nan")
    new_mean = float(new.mean()) if new.size else float("nan")
    return Drift(
        old_images=len(old),
        new_images=len(new),
        old_mean=old_mean,
        new_mean=new_mean,
        ratio=_ratio(new_mean, old_mean),
        p_value=welch_p_value(new, old),
    )


def welch_p_value(greater: NDArray[np.float64], lesser: NDArray[np.float64]) -> float:
    """P value of Welch's one-sided t test that the mean of `greater` is above that of `lesser`.

    Returns:
        0 to 1; small: it is above. NaN where a side has fewer than two values.
    """
    if min(len(greater), len(lesser)) < _LEAST:
        return float("nan")
    if not (np.ptp(greater) > 0 or np.ptp(lesser) > 0):  # no variance on either side, so no t
        return 0.0 if greater.mean() > lesser.mean() else 1.0
    from scipy.stats import ttest_ind  # type: ignore[import-untyped]  # takes a second to load; scipy ships no types

    return float(ttest_ind(greater, lesser, equal_var=False, alternative="greater").pvalue)


def _ratio(new_mean: float, old_mean: float) -> float:
    if old_mean > 0 or np.isnan(old_mean):
        return new_mean / old_mean
    return float("inf") if new_mean > 0 else 1.0
