"""How a purchase can end before everything is bought."""

from components.errors import UserError


class PurchaseStoppedError(UserError, RuntimeError):
    """A purchase stopped between two requests; trying again by itself would change nothing."""


class BudgetSpentError(PurchaseStoppedError):
    """The run has spent what it may."""


class EndpointFailsError(UserError, RuntimeError):
    """The endpoint only fails; it may recover."""
