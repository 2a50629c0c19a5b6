"""Buying instructions, with a person's word where they cost more than a run may spend by itself."""

import functools
import math
from collections.abc import Callable
from copy import copy
from typing import Any, ParamSpec, TypeVar

from prefect import get_run_logger
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run, suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import flow_run
from prefect.states import Cancelled
from pydantic import Field

from components.instructions.open_provider import PROVIDERS
from components.instructions.spending.approval import Outlook, outlook_text
from components.text import dollars
from tasks.bodies.buying import ApprovalUsedUpError
from tasks.platform.approval import PurchaseDeclinedError, decide, look_ahead
from tasks.platform.stage import StageTask
from tasks.platform.stage_context import CurationRun
from tasks.platform.versioning import Artifact

_LOOK_SECONDS = 2
APPROVAL_HOURS = 72  # a long weekend; then the run ends with everything kept, and a new one asks again
P = ParamSpec("P")
R = TypeVar("R")


class Approval(RunInput):
    """What the form in the Prefect UI asks."""

    approve: bool = Field(
        title="Buy these instructions",
        description="Left off, the run ends; what was bought is kept.",
    )
    approve_up_to_usd: float = Field(
        title="Dollars that this run may spend in all",
        description="The run asks again before it spends more; with more than is needed now, later stages do not ask.",
        ge=0,
    )


def buy(run: CurationRun, stage: StageTask, *inputs: Artifact, item: str = "") -> Artifact:
    """Run a stage that buys instructions; above `purchase.approve_above_usd` a person is asked first.

    Args:
        run: the curation run.
        stage: one that buys.
        inputs: artifacts it reads.
        item: which of several.

    Raises:
        PurchaseDeclinedError: a person said no, or did not answer in `APPROVAL_HOURS`.
    """
    name = f"{stage.name}@{item}" if item else stage.name
    bought = PROVIDERS[run.workspace.parameters().instructions.provider].paid_by_token
    # A whole pool that nobody asked for is refused by its stage, whatever it costs.
    if not bought or (stage.declaration.buys_when_told and not run.annotate_pool):
        return stage(run, *inputs, item=item)
    while True:
        # Looked at again after every answer: while a person thinks it over, a price may change.
        while (outlook := look_ahead(run, name)).must_ask:
            _ask(run, name, outlook)
        try:
            return stage(run, *inputs, item=item)
        except ApprovalUsedUpError as used_up:
            get_run_logger().warning("%s: %s", name, used_up)
            _ask(run, name, look_ahead(run, name))


def cancelled_when_declined(steps: Callable[P, R]) -> Callable[P, R | State[Any]]:
    """Make the body of a flow end as cancelled, not as failed, when a person declines a purchase."""

    @functools.wraps(steps)
    def run_steps(*arguments: P.args, **named: P.kwargs) -> R | State[Any]:
        try:
            return steps(*arguments, **named)
        except PurchaseDeclinedError as declined:
            return Cancelled(name="Declined", message=str(declined))

    return run_steps


def _ask(run: CurationRun, stage: str, outlook: Outlook) -> None:
    form = Approval.with_initial_data(
        description=outlook_text(outlook, stage=stage),
        # A plain value here would take the fields' titles and descriptions away.
        approve=_with_default("approve", default=False),
        approve_up_to_usd=_with_default("approve_up_to_usd", default=math.ceil(100 * outlook.suggested_usd) / 100),
    )
    get_run_logger().warning(
        "%s wants to spend %s, and %s is all the run may spend without asking (purchase.approve_above_usd): waiting "
        "for a person. Open %s in the Prefect UI (`presel ui` serves it) and press Resume",
        stage,
        dollars(outlook.total.price_usd),
        dollars(outlook.allowed_usd),
        # Without a server's pages Prefect writes "None/...".
        flow_run.ui_url if str(flow_run.ui_url).startswith("http") else f"run {flow_run.name}",
    )
    try:
        # The decisions so far make the key: asked again after a resume it is the same question, later it is a new one.
        answer = _wait(form, key=f"purchase-{outlook.decisions}", seconds=3600 * APPROVAL_HOURS)
    except FlowPauseTimeout:
        raise PurchaseDeclinedError(
            f"nobody approved the purchase of {stage} within {APPROVAL_HOURS} hours; "
            "everything bought is kept, run again to ask again"
        ) from None
    approved = answer.approve_up_to_usd if answer.approve else 0.0
    decide(run, stage, needed_usd=outlook.needed_usd, approved_usd=approved)
    if approved < outlook.needed_usd - 0.005:
        what = f"approved up to {dollars(approved)} only" if answer.approve else "declined"
        asked = f"the purchase of {stage} for about {dollars(outlook.total.price_usd)}"
        raise PurchaseDeclinedError(f"{asked} was {what}; everything bought is kept")


def _with_default(name: str, *, default: object) -> Any:
    field = copy(Approval.model_fields[name])
    field.default = default
    return field


def _wait(form: Any, *, key: str, seconds: int) -> Approval:
    """Wait for the form: a deployed run gives its worker back meanwhile, any other waits where it is."""
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    deployed = context.flow_run.deployment_id is not None and context.flow_run.parent_task_run_id is None
    if deployed:
        answer = suspend_flow_run(wait_for_input=form, timeout=seconds, key=key)
    else:
        answer = pause_flow_run(wait_for_input=form, timeout=seconds, poll_interval=_LOOK_SECONDS, key=key)
    assert isinstance(answer, Approval)
    return answer
