"""COINCIDE's evidence: which clusters got how much, and why."""

from dataclasses import dataclass

import numpy as np

from components.report.inputs import CoincideEvidence
from components.report.number_text import count, decimal, percent, quantity

SHOWN = 25  # clusters in the table


@dataclass(frozen=True, slots=True)
class ConceptRow:
    """One cluster; the bar is 0 to 100."""

    cluster: str
    size: str
    transferability: str
    density: str
    share: str
    share_bar: float
    quota: str


@dataclass(frozen=True, slots=True)
class CoincideView:
    """The section.

    Attributes:
        rows: the largest share first.
        summary: what became of the clusters, in a sentence.
        others: clusters that are not in the table; empty without any.
    """

    rows: tuple[ConceptRow, ...]
    summary: str
    others: str


def coincide_view(evidence: CoincideEvidence | None) -> CoincideView | None:
    """Lay out the section; None for another strategy."""
    if evidence is None:
        return None
    table = evidence.shares
    rows = sorted(table.to_pylist(), key=lambda row: (-row["share"], row["cluster"]))
    longest = max((row["share"] for row in rows), default=1.0)
    sizes, quotas = table["size"].to_numpy(), table["quota"].to_numpy()
    whole, nothing = int(np.sum(quotas == sizes)), int(np.sum(quotas == 0))
    rest = rows[SHOWN:]
    return CoincideView(
        rows=tuple(
            ConceptRow(
                cluster=str(row["cluster"]),
                size=count(row["size"]),
                transferability=decimal(row["transferability"]),
                density=decimal(row["density"]),
                share=percent(row["share"], digits=2),
                share_bar=round(100 * row["share"] / longest, 2),
                quota=count(row["quota"]),
            )
            for row in rows[:SHOWN]
        ),
        summary=(
            f"Of {quantity(len(rows), 'cluster')}, {count(whole)} were taken whole and {count(nothing)} got nothing."
        ),
        others=(
            f"{quantity(len(rest), 'more cluster')} with {quantity(sum(row['size'] for row in rest), 'sample')} got "
            f"{quantity(sum(row['quota'] for row in rest), 'pick')} between them."
            if rest
            else ""
        ),
    )
