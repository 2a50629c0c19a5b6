"""How a purchase can end before everything is bought."""

from components.errors import UserError


class PurchaseStoppedError(UserError, RuntimeError):
    """A purchase stopped between two requests; trying again by itself would change nothing."""


class BudgetSpentError(PurchaseStoppedError):
    """The run has spent what it may."""


class EndpointFailsError(UserError, RuntimeError):
    """The endpoint fails; unless it is a `PurchaseStoppedError` too, the same may succeed a little later."""


class NothingUsableError(EndpointFailsError, PurchaseStoppedError):
    """Nothing usable comes, or no reply for what is left: a person has to look.

    Whatever can pass by itself was waited for, longer than the pauses after which a flow tries again: every request was
    sent several times, with growing pauses.
    """
