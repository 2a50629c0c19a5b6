"""What a purchase begins with: requests, and what earlier ones have come to."""

from collections.abc import Sequence

from components.instructions.provider import PurchaseBook
from components.instructions.purchase_signals import in_thread
from components.instructions.request import IdentifiedRequest
from components.instructions.send_keys import FIRST_KEY
from components.instructions.sender import OpenRequest


async def known_requests(book: PurchaseBook, requests: Sequence[IdentifiedRequest]) -> list[OpenRequest]:
    """Requests with what earlier purchases have come to.

    Args:
        book: that knows it.
        requests: open ones.
    """
    ids = [one.request_id for one in requests]
    replies = await in_thread(book.unusable_replies, ids)
    failures = await in_thread(book.earlier_failures, ids)
    known = []
    for one in requests:
        found, failed = tuple(replies.get(one.request_id, ())), failures.get(one.request_id)
        counts = failed is not None and failed.meanwhile
        known.append(
            OpenRequest(
                one,
                "repair" if found else "first",
                found,
                failures=failed.sends if failed is not None and counts else 0,
                others_answered=counts,
                in_doubt=failed is not None and failed.in_doubt,
                key=failed.key if failed is not None else FIRST_KEY,
            )
        )
    return known
