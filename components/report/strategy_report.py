"""What a strategy tells the report of itself: words, numbers and sections of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.strategies.names import check_strategy_name
from components.strategies.run_files import RunFiles

if TYPE_CHECKING:
    from components.report.inputs import ReportInputs
    from components.report.task_rows import TaskRow


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the page.

    Attributes:
        anchor: its id.
        label: what the contents call it.
        template: a file of the strategy's package; it finds the numbers as `section.numbers`, and whatever the page's
            own sections are given.
        numbers: a record.
        after_allocation: it says what happens within the tasks, so it follows their shares; else it precedes them.
    """

    anchor: str
    label: str
    template: Path
    numbers: object
    after_allocation: bool = False


class Evidence(Protocol):
    """What a choice rests on, as a record of the strategy's own."""

    @property
    def weights(self) -> Mapping[str, float]:
        """What each task is worth, 0 to 1, where the strategy says so; the page shows the tasks in that order."""

    def sections(self, run: "ReportInputs", tasks: tuple["TaskRow", ...]) -> tuple[Section, ...]:
        """The strategy's sections, in the order of the page."""


@dataclass(frozen=True, slots=True)
class NoEvidence:
    """The evidence of a choice that rests on nothing but chance."""

    weights: Mapping[str, float]

    def sections(self, _run: "ReportInputs", _tasks: tuple["TaskRow", ...]) -> tuple[Section, ...]:
        """None."""
        return ()


def no_evidence(_files: RunFiles) -> Evidence:
    """For strategies that compute nothing to choose by."""
    return NoEvidence({})


@dataclass(frozen=True, slots=True)
class StrategyReport:
    """A strategy on the page.

    Attributes:
        title: as people call it.
        chosen: how its picks came about, after "were chosen".
        evidence: reads what the choice rests on.
        score: what SELECTION's column `score` is; empty: nothing is ranked, and no pictures are compared.
        pictures: what picked and passed-over pictures show.
        ranks: what stands under each picture.
        mixes_tasks: its clusters are those of the whole pool, not of a task.
        map_vectors: `(n, d)` vectors of `n` rows of SELECTION, for the map; None: there are none.
        alike: what lies close together on the map.
        own_model: artifact and name of a model that it tunes in order to choose; empty texts without one.
    """

    title: str
    chosen: str
    evidence: Callable[[RunFiles], Evidence] = no_evidence
    score: str = ""
    pictures: str = ""
    ranks: str = ""
    mixes_tasks: bool = False
    map_vectors: Callable[[RunFiles, pa.Table], NDArray[np.floating]] | None = None
    alike: str = ""
    own_model: tuple[str, str] = ("", "")


def load_strategy_report(name: str) -> StrategyReport:
    """`REPORT` of `components.strategies.NAME.report`.

    Raises:
        ValueError: there is no such strategy.
    """
    report = import_module(f"components.strategies.{check_strategy_name(name)}.report").REPORT
    assert isinstance(report, StrategyReport)
    return report
