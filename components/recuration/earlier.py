"""`data/earlier`: what a recuration goes on from, in the form of the artifacts it came from.

A curation from scratch goes on from nothing: tables without rows.
"""

from pathlib import Path

from components.recuration.grown_clusters import no_clusters, write_clusters
from components.recuration.reference_model import RetuneDecision, TunedModel, write_tuned_model
from components.schemas import CHOSEN, INSTRUCTIONS, SAMPLES, SCORES, SELECTION, TUNED_ON
from components.storage import fresh_directory, write_table

# What is kept of a curation, by its place under `data/`; the one file among folders is the pool.
EARLIER_ARTIFACTS = (
    "clusters",
    "instructions/reference",
    "manifest/samples.parquet",
    "reference",
    "reference_model",
    "scores",
    "selection",
)


def write_nothing_earlier(directory: Path) -> None:
    """Write what a curation from scratch goes on from; what was there is replaced at once.

    Args:
        directory: `data/earlier`.
    """
    with fresh_directory(directory) as fresh:
        write_clusters(fresh / "clusters", no_clusters())
        write_table(fresh / "instructions/reference/instructions.parquet", INSTRUCTIONS.empty_table())
        write_table(fresh / "manifest/samples.parquet", SAMPLES.empty_table())
        write_table(fresh / "reference/reference.parquet", CHOSEN.empty_table())
        nothing = RetuneDecision(retune=False, reason="there was no curation", members=0, changed=0)
        write_tuned_model(fresh / "reference_model", TunedModel(TUNED_ON.empty_table(), ""), nothing)
        write_table(fresh / "scores/scores.parquet", SCORES.empty_table())
        write_table(fresh / "selection/selection.parquet", SELECTION.empty_table())
