"""What comes back of one send: a reply of the model, or why there is none."""

from dataclasses import dataclass
from typing import Literal

from components.instructions.send_keys import Arrived

# Why there is no reply, and so what becomes of the request (`components.instructions.send_judge` decides it):
#   refused:  the endpoint said no and charges nothing; it may pass (429, 5xx, no connection).
#   unknown:  no complete reply came; it may have been charged, and may pass.
#   not_run:  as refused, and it says nothing about the endpoint (a batch expired before its turn came).
#   rejected: the endpoint will not answer this request as things are; asked once more when all others are through.
#   final:    as rejected, and asking once more would change nothing while others are answered.
#   account:  the endpoint takes nothing from this purchase.
FailureKind = Literal["refused", "unknown", "not_run", "rejected", "final", "account"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said.

    Attributes:
        text: the response.
        finish_reason: why it stopped.
        model: who answered, as the provider says; empty when it does not say.
        input_tokens: sent; None when the provider does not say.
        output_tokens: received; None when the provider does not say.
        seconds: from asking to having it; 0 for a batch.
    """

    text: str
    finish_reason: str
    model: str
    input_tokens: int | None
    output_tokens: int | None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class SendFailure:
    """Why no reply came.

    Attributes:
        kind: what it means for the request and the purchase.
        reason: one of the provider's fixed reasons, for counting.
        detail: what exactly, for a person.
        seconds: from asking to giving up.
        retry_after: seconds that the endpoint asks to wait; None when it does not say.
        error: what the purchase ends with, where it does.
        input_tokens: that the endpoint counts all the same; None when it does not say.
        output_tokens: likewise.
        arrived: of what the endpoint had to say.
    """

    kind: FailureKind
    reason: str
    detail: str
    seconds: float = 0.0
    retry_after: float | None = None
    error: Exception | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    arrived: Arrived = "error"
