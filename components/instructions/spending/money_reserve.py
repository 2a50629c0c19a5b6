"""What a purchase may still spend."""

from dataclasses import dataclass

from components.instructions.purchase_errors import BudgetSpentError


@dataclass(slots=True)
class MoneyReserve:
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
    spent_usd: float = 0.0
    reserved_usd: float = 0.0
    in_flight: int = 0
    underestimated: float = 1.0

    def reserve(self, usd: float) -> bool:
        """Set money aside for one request; False when that would exceed the limit. What costs nothing always may."""
        in_flight = (self.reserved_usd + usd) * self.underestimated
        if usd > 0 and self.spent_usd + in_flight > self.limit_usd + 1e-12:
            return False
        self.hold(usd)
        return True

    def hold(self, usd: float) -> None:
        """Set money aside for one request that was sent before, whatever the limit says."""
        self.reserved_usd += usd
        self.in_flight += 1

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
            f"${self.spent_usd:,.4f} of purchase.spend_at_most_usd ${self.limit_usd:,.4f} are spent or may have been "
            f"charged, and the next request may take ${needed_usd:,.4f}: the purchase stopped before it. Everything "
            "bought is kept; raise purchase.spend_at_most_usd and run again to buy the rest"
        )
