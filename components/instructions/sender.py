"""What the purchase loop asks of a provider: how a group of requests is sent, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from components.instructions.chat import Repair
from components.instructions.provider import OpenBatch, Send, SendKind, UnusableReply
from components.instructions.replies.judge import repair_of
from components.instructions.reply import Reply, SendFailure
from components.instructions.request import IdentifiedRequest, InstructionRequest
from components.instructions.send_keys import FIRST_KEY, SendKey
from components.instructions.spending.bill import Bill, SizedImage

ImageT = TypeVar("ImageT", bound=SizedImage)


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A request on its way to an instruction.

    Attributes:
        identified: what is asked.
        kind: why it is sent next.
        replies: unusable ones it has brought; the last of them is sent back with it.
        failures: sends that brought no reply, in this purchase and, as far as others were answered meanwhile, before.
        sent_after: how many replies the purchase had had when it was sent first of those; None: none has failed.
        others_answered: in an earlier purchase others were answered while it was not.
        unusable_since: another's usable reply, begun after this, shows that it is at fault; None: it brought none yet.
        last: it is sent once more, when all others are through.
        in_doubt: nobody was answered in the batch that it failed in last, or since it failed by itself.
        key: under which it is sent, where the endpoint knows keys.
    """

    identified: IdentifiedRequest
    kind: SendKind = "first"
    replies: tuple[UnusableReply, ...] = ()
    failures: int = 0
    sent_after: int | None = None
    others_answered: bool = False
    unusable_since: int | None = None
    last: bool = False
    in_doubt: bool = False
    key: SendKey = FIRST_KEY

    @property
    def is_witness(self) -> bool:
        """Whether it was answered before, and is asked once more to see whether others are."""
        return self.kind == "witness"

    @property
    def repair(self) -> Repair | None:
        """What is sent back with it."""
        return repair_of(self.replies)


@dataclass(frozen=True, slots=True)
class PreparedRequest(Generic[ImageT]):
    """A request that can be sent.

    Attributes:
        open_request: what, and why.
        image: as the model gets it.
        bill: what the send takes at most.
    """

    open_request: OpenRequest
    image: ImageT
    bill: Bill

    @property
    def send(self) -> Send:
        """As it is announced."""
        asked = self.open_request
        replies = None if asked.is_witness else len(asked.replies)
        return Send(asked.identified, asked.kind, self.bill.may_cost_usd, replies=replies)


@dataclass(frozen=True, slots=True)
class GroupResult:
    """What came of a group.

    Attributes:
        replies: one for each request; None: it is out in a batch whose results are not there, and stays so.
        stop: why the purchase ends when what is in flight is settled; None: it goes on.
        pause_seconds: to wait before what failed is sent again.
        complete: nothing more will come of its batch.
    """

    replies: Sequence[Reply | SendFailure | None]
    stop: Exception | None = None
    pause_seconds: float = 0.0
    complete: bool = True


class Sender(Protocol[ImageT]):
    """How one provider sends; everything else of a purchase is the loop's."""

    @property
    def group_size(self) -> int:
        """Requests that are sent together at most."""

    @property
    def group_bytes(self) -> int:
        """Bytes of images, as they are sent, that fill a group."""

    @property
    def groups_in_flight(self) -> int:
        """Groups that are out at a time at most."""

    @property
    def batches_at(self) -> str | None:
        """Where the batches are that groups go out in, without secrets; None: they go out by themselves."""

    def open_image(self, request: InstructionRequest) -> tuple[ImageT, int]:
        """Open an image as the model gets it, and say how many bytes of it are sent; called in a thread.

        Raises:
            ImageUnavailableError: it cannot be had as things are.
            ImageError: it will never be.
        """

    async def wait_for_limits(self, tokens: int) -> None:
        """Return when a group that takes so many tokens at most may be sent."""

    async def send(self, group: list[PreparedRequest[ImageT]], batch: OpenBatch | None) -> GroupResult:
        """Send a group that is announced, and wait for what comes of it.

        An error is raised when nothing is known about any of the requests; the purchase ends with it.

        Args:
            group: may be emptied, so that nobody holds the images while they are waited for.
            batch: that they are announced in.

        Raises:
            BatchTakenOverError: the batch is another purchase's by now.
        """

    def nothing_usable(self, said: str) -> Exception:
        """The error of a purchase that nothing usable comes of, with what a person can do about it.

        Args:
            said: what happened, in whole sentences.
        """
