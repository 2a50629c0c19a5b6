"""Under which key a request is sent again: an endpoint that honours `Idempotency-Key` repeats what it said to one."""

from dataclasses import dataclass, replace
from typing import Literal

# Of what the endpoint had to say to a key, `reply`: what it stands for came whole; `error`: an error, or something that
# cannot be read; `conflict`: that it knows the key, and no more; `nothing`: it is not known what it has to say.
Arrived = Literal["reply", "error", "conflict", "nothing"]
# Times that an error may have come in the place of a reply that was charged and is kept under the key.
_IN_ITS_PLACE = 2


@dataclass(frozen=True, slots=True)
class SendKey:
    """The key of a request's next send.

    Attributes:
        number: of the keys that the request has had.
        may_be_charged: a send under it may have been, though its reply did not come.
        errors: that came under it since.
    """

    number: int = 0
    may_be_charged: bool = False
    errors: int = 0


FIRST_KEY = SendKey()


def key_after(key: SendKey, arrived: Arrived, *, may_be_charged: bool) -> SendKey:
    """The key of the next send, within a purchase and from one to the next.

    That is the same while it is not known what the endpoint has to say, so that it charges one of the sends; another
    when it has said something, because it may say only that again. Where an earlier send may have been charged, an
    error may have come before the endpoint looked at the key (a gateway that is busy, a connection that spoils what it
    carries), so it is asked for twice more under the same. A conflict says that there was such a send: it may still be
    answered, or never.

    Args:
        key: of the send.
        arrived: of the send.
        may_be_charged: the send may have been, and its reply did not come.
    """
    uncertain = key.may_be_charged or may_be_charged or arrived == "conflict"
    match arrived:
        case "nothing":
            return replace(key, may_be_charged=uncertain)
        case "error" | "conflict" if uncertain and key.errors < _IN_ITS_PLACE:
            return SendKey(key.number, uncertain, key.errors + 1)
    return SendKey(key.number + 1)
