"""Requests that are not tried any more, while it is not known whether they are at fault or the whole is.

The one rule: a request is given up when another is answered that was begun after it failed for the last time. Then what
failed with it has passed, and it has not. What was answered before says nothing: the endpoint may have gone away since.
Where replies come and break rules, the model is the whole: such a request is given up when another's reply, begun after
its own first, is usable.
"""

from dataclasses import dataclass

from components.instructions.request import IdentifiedRequest


@dataclass(frozen=True, slots=True)
class Suspect:
    """A request that is not tried any more.

    Attributes:
        identified: the request.
        reason: of its last failure, for counting.
        detail: what exactly, for a person.
        since: it is given up when another is answered that was begun after this; infinite: never in this purchase.
        by_reply: replies came, and none is usable; it takes a usable one of another.
    """

    identified: IdentifiedRequest
    reason: str
    detail: str
    since: float
    by_reply: bool


class Suspects:
    """Those of one purchase, and what was answered last.

    Attributes:
        left: that nobody has passed so far.
        begun: number of the latest send; sends are numbered in the order in which they begin.
    """

    def __init__(self) -> None:
        self.left: list[Suspect] = []
        self.begun = 0
        self._answered = -1  # of the latest begun that was answered, its number
        self._usable = -1

    def begin(self) -> int:
        """Number a send that begins."""
        self.begun += 1
        return self.begun

    def answered(self, began: int, *, usable: bool) -> None:
        """Note that a send of that number had a reply."""
        self._answered = max(self._answered, began)
        if usable:
            self._usable = max(self._usable, began)

    def take_passed(self) -> list[str]:
        """Ids of those that others have passed by now; they are no suspects any more."""
        passed = [one.identified.request_id for one in self.left if self._is_passed(one)]
        self.left = [one for one in self.left if not self._is_passed(one)]
        return passed

    def _is_passed(self, suspect: Suspect) -> bool:
        return (self._usable if suspect.by_reply else self._answered) > suspect.since
