"""What the page says of a strategy in words."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MethodText:
    """A strategy in words.

    Attributes:
        name: as people call it.
        chosen: how its picks came about, after "were chosen".
        score: what SELECTION's column `score` is; empty: nothing is ranked, and no pictures are compared.
        pictures: what picked and passed-over pictures show.
        ranks: what stands under each picture.
        alike: what lies close together on the map.
    """

    name: str
    chosen: str
    score: str = ""
    pictures: str = ""
    ranks: str = ""
    alike: str = ""


_CENTRALITY = (
    "Within a cluster, the images closest to their neighbours win (Eq. 7): they stand for the most others. These are "
    "the clusters with the largest quotas, one per task in turn."
)
_CENTRALITY_RANKS = (
    "Under each image: its rank in the cluster and its neighbour centrality, the mean cosine to its nearest neighbours "
    "(higher wins). Picked images are shown from the first rank on, passed-over ones evenly from the narrowest miss to "
    "the least central."
)
_ENCODER = "images that the encoder finds alike lie close together"

METHODS: dict[str, MethodText] = {
    "presel": MethodText(
        "PreSel",
        "by PreSel before anyone had asked a question about them",
        "centrality",
        _CENTRALITY,
        _CENTRALITY_RANKS,
        _ENCODER,
    ),
    "size_balanced": MethodText(
        "PreSel without task importance",
        "by PreSel's clusters and centrality, every task in proportion to its size, before anyone had asked a question "
        "about them",
        "centrality",
        _CENTRALITY,
        _CENTRALITY_RANKS,
        _ENCODER,
    ),
    "tive": MethodText(
        "TIVE",
        "by TIVE after every sample of the pool had been given an instruction",
        "influence",
        "Within a task samples are drawn, the more influential the likelier; how much likelier is said above.",
        "Under each image: its place by influence in the task, and its influence, the mean cosine of its gradient to "
        "those of the task. Drawn samples are shown from the most influential on, the others evenly down to the least.",
        "samples whose gradients point the same way lie close together",
    ),
    "coincide": MethodText(
        "COINCIDE",
        "by COINCIDE after every sample of the pool had been given an instruction",
        "typicality",
        "Within a cluster the picks are those that together look most like the whole cluster. These are the clusters "
        "with the largest quotas.",
        "Under each image: its place in the order of picks, if picked, and its typicality, the mean kernel "
        "similarity to its cluster. Passed-over images are shown evenly from the most to the least typical.",
        "samples that stir the small model's attention alike lie close together",
    ),
    "uniform_task": MethodText("the uniform-task control", "at random, the same number from every task"),
    "random": MethodText("the random control", "uniformly at random"),
    "full": MethodText("the full-pool control", "because this run takes the whole pool"),
}
