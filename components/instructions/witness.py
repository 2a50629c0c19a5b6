"""The witness: a request that was answered, asked once more to see whether others are answered meanwhile.

Where all that is left has failed and nobody has passed it, two things look alike: these requests are at fault, and in
every run to come; or the endpoint is, and none of them may be given up. One more answer tells them apart. It costs what
one instruction costs, is announced, settled and counted like every send, and changes nothing of what was bought.
"""

import itertools
import uuid

from components.instructions.provider import PurchaseBook
from components.instructions.purchase_signals import in_thread
from components.instructions.request import IdentifiedRequest, RequestSpecification
from components.instructions.send_keys import SendKey
from components.instructions.sender import ImageT, OpenRequest, Sender
from components.instructions.sent_image import ImageUnavailableError
from components.pool.images import ImageError


async def find_witnesses(
    book: PurchaseBook, sender: Sender[ImageT], specification: RequestSpecification, *, times: int
) -> list[OpenRequest]:
    """Find requests that were answered and whose images are there, in the order in which they are asked.

    One of them may be at fault itself by now, so that each time another is asked, as long as there are others.

    Args:
        book: that knows what was answered.
        sender: that opens images.
        specification: how they have to be put, as what failed was.
        times: that somebody is asked at most.

    Returns:
        So many; none when nobody was ever answered, or no image is there.
    """
    there: list[IdentifiedRequest] = []
    for identified in await in_thread(book.answered_like, specification):
        try:
            await in_thread(sender.open_image, identified.request)
        except (ImageUnavailableError, ImageError):
            continue
        there.append(identified)
        if len(there) == times:
            break
    # Each has a key of its own: an endpoint that remembers the answer would only say it again.
    return [
        OpenRequest(identified, "witness", failures=number, key=SendKey(uuid.uuid4().int))
        for number, identified in zip(range(times), itertools.cycle(there), strict=False)
    ]
