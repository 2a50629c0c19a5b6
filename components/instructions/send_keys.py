"""Under which key a request is sent again: an endpoint that honours `Idempotency-Key` repeats what it said to one."""

from typing import Literal

# Of what the endpoint had to say to a key, `whole`: asked with it, it may say the same again; `broken`: something that
# cannot be read; `nothing`: it is not known what it has to say.
Arrived = Literal["whole", "broken", "nothing"]
# Times that what came under a key may have been spoilt on its way.
_SPOILT = 2


def key_after(arrived: Arrived, *, keys_used: int, broken: int) -> tuple[int, int]:
    """The key of the next send, within a purchase and from one to the next.

    That is the same while it is not known what the endpoint has to say, so that it charges one of the sends; another
    when it has said something, because it may say only that again. What cannot be read was mostly spoilt on its way,
    and is asked for twice more under the same.

    Args:
        arrived: of the send.
        keys_used: number of its key.
        broken: times before that what came under it could not be read.

    Returns:
        Number of the key, and times that what came under it could not be read.
    """
    match arrived:
        case "nothing":
            return keys_used, broken
        case "broken" if broken < _SPOILT:
            return keys_used, broken + 1
    return keys_used + 1, 0
