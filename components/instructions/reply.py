"""What comes back of one send: a reply of the model, or why there is none."""

from dataclasses import dataclass
from typing import Literal

# Why there is no reply, and so what becomes of the request (`PurchaseLoop` decides it):
#   refused:   the endpoint said no and charges nothing; it may pass (429, 5xx, no connection).
#   unknown:   no complete reply came; it may have been charged, and may pass.
#   not_run:   as refused, and it says nothing about the endpoint (a batch expired before its turn came).
#   rejected:  the endpoint will not answer this request; it is asked once more when all others are through.
#   forbidden: about this request, as rejected, where others were answered; else about the account.
#   account:   the endpoint takes nothing from this purchase.
#   final:     this request will never be answered.
FailureKind = Literal["refused", "unknown", "not_run", "rejected", "forbidden", "account", "final"]


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
    """

    kind: FailureKind
    reason: str
    detail: str
    seconds: float = 0.0
    retry_after: float | None = None
    error: Exception | None = None
