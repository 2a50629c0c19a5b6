"""`presel sync`: tell MLflow what was kept while it was away."""

from tasks.platform.tracking import shown_address
from tasks.platform.tracking_record import Sent, contact_at_start
from tasks.platform.tracking_spool import discard_refused, refused

_SHOWN = 20


def sync(*, discard: bool) -> tuple[str, bool]:
    """Send what is kept.

    Args:
        discard: first delete what MLflow refused earlier.

    Returns:
        What happened, for a person, and whether nothing is left.

    Raises:
        TrackingRefusedError: MLflow does not let this project in.
    """
    lines = [f"{discard_refused():,} refused operations deleted"] if discard else []
    sent = contact_at_start()
    lines.append(_summary(sent))
    put_aside = refused()
    if put_aside:
        lines.append(
            f"MLflow did not take {len(put_aside):,} operations; they are kept, `presel sync --discard` deletes them:"
        )
        lines += [
            f"  {entry.operation.kind} of run {entry.operation.run}: {entry.refused}" for entry in put_aside[:_SHOWN]
        ]
    return "\n".join(lines), sent.left == 0 and not put_aside


def _summary(sent: Sent) -> str:
    if sent.away:
        return f"{sent.sent:,} sent, {sent.left:,} kept: MLflow at {shown_address()} could not be told ({sent.away})"
    return f"{sent.sent:,} sent to {shown_address()}, nothing is kept" if sent.sent else "nothing to send"
