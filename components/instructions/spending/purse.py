"""What a purchase may still spend, and when it should stop because nothing comes of it."""

from dataclasses import dataclass

from components.errors import UserError


class PurchaseStoppedError(UserError, RuntimeError):
    """A purchase stopped between two requests; trying again by itself would change nothing."""


class BudgetSpentError(PurchaseStoppedError):
    """The run has spent what it may."""


class EndpointFailsError(UserError, RuntimeError):
    """The endpoint only fails; it may recover."""


@dataclass
class Purse:
    """Money: what is spent and what is in flight together never exceed the limit, as far as costs can be said before.

    A request that comes to more than was set aside for it shows that the costs are underestimated: from then on as
    much more is set aside. So the limit can be exceeded by what was in flight at that moment, and by no more.

    Attributes:
        limit_usd: dollars.
        spent_usd: dollars, what may have been charged included.
        reserved_usd: dollars that the requests in flight take at most.
        in_flight: requests for which money is set aside.
        underestimated: highest ratio of paid to set aside so far, 1 or more.
    """

    limit_usd: float
    spent_usd: float
    reserved_usd: float = 0.0
    in_flight: int = 0
    underestimated: float = 1.0

    def reserve(self, usd: float) -> bool:
        """Set money aside for one request; False when that would exceed the limit."""
        in_flight = (self.reserved_usd + usd) * self.underestimated
        if self.spent_usd + in_flight > self.limit_usd + 1e-12:
            return False
        self.reserved_usd += usd
        self.in_flight += 1
        return True

    def book(self, reserved_usd: float, paid_usd: float) -> None:
        """Replace what was set aside by what it came to."""
        self.in_flight -= 1
        self.reserved_usd -= reserved_usd
        self.spent_usd += paid_usd
        if reserved_usd > 0:
            self.underestimated = max(self.underestimated, paid_usd / reserved_usd)

    def spent_error(self, needed_usd: float) -> BudgetSpentError:
        """What to tell a person when there is not enough left for the next request."""
        return BudgetSpentError(
            f"${self.spent_usd:,.4f} of purchase.spend_at_most_usd ${self.limit_usd:,.2f} are spent or may have been "
            f"charged, and the next request may take ${needed_usd:,.4f}: the purchase stopped before it. Everything "
            "bought is kept; raise purchase.spend_at_most_usd and run again to buy the rest"
        )


@dataclass
class CircuitBreaker:
    """Counts attempts without a usable answer; one usable answer sets it back.

    Attributes:
        most: attempts in a row after which the purchase stops.
        failures: attempts without a usable answer since the last one.
    """

    most: int
    failures: int = 0

    def note(self, *, usable: bool) -> bool:
        """Note an attempt; True when the purchase shall stop."""
        self.failures = 0 if usable else self.failures + 1
        return self.failures >= self.most
