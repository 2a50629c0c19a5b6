"""Provider `people`: instructions that persons write, outside this program."""

from collections.abc import Sequence

from components.instructions.prompts import load_template, template_identity
from components.instructions.provider import PurchaseBook
from components.instructions.purchase_errors import PurchaseStoppedError
from components.instructions.request import IdentifiedRequest, InstructionRequest, RequestSpecification
from components.parameters.instructions import InstructionParameters

# What the ledger calls the provider, its batches, and, as long as no name is known, who writes.
PEOPLE = "people"


class PeopleProvider:
    """Cannot be asked by a program; see `components.instructions.provider.InstructionProvider`.

    Requests go out with `components.instructions.people.hand_out` and come back with
    `components.instructions.people.importing`; a purchase finds their answers in the ledger.

    Args:
        parameters: which prompt templates say what is to be written.
    """

    name = PEOPLE

    def __init__(self, parameters: InstructionParameters) -> None:
        self._prompts = parameters.prompts
        self._specified = 0

    def specify(self, requests: Sequence[InstructionRequest]) -> list[RequestSpecification]:
        """The task's template; who writes plays no part, so one person can go on where another stopped."""
        self._specified = len(requests)
        return [
            RequestSpecification(
                model=PEOPLE, prompt_template=template_identity(load_template(self._prompts, request.task))
            )
            for request in requests
        ]

    def at_hand(self, requests: Sequence[InstructionRequest]) -> list[bool]:
        """None: every instruction has to be written."""
        return [False] * len(requests)

    def ask(self, requests: Sequence[IdentifiedRequest], *, book: PurchaseBook) -> None:  # noqa: ARG002 -- protocol
        """Say what people have to do.

        Raises:
            PurchaseStoppedError: there are instructions to be written.
        """
        if not requests:
            return
        total = max(self._specified, len(requests))
        raise PurchaseStoppedError(
            f"people have to write {len(requests):,} of {total:,} instructions: hand them out with `presel annotate "
            "export FOLDER` (which says what is out already), have them written, read them in with `presel annotate "
            "import FILE`, and run again; a run that was given a --name needs it in all of these. Controls have theirs "
            "written too: `--set baselines=[]` runs without them"
        )
