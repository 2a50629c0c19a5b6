"""When a purchase should stop because nothing comes of it."""

from dataclasses import dataclass


@dataclass(slots=True)
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
