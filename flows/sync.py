"""`presel sync`: tell MLflow what the journal holds for it, and say what waits for another server."""

from tasks.platform.journal import Sent, start_telling
from tasks.platform.journal_store import adopt_unnamed, entries_for, forget, refused, waiting_elsewhere
from tasks.platform.tracking import shown_address

_SHOWN = 20


def sync(*, discard: bool, discard_for: str | None = None) -> tuple[str, bool]:
    """Send what waits for the configured server.

    Args:
        discard: first delete what a server refused earlier.
        discard_for: first delete what waits for this server, named as it is listed.

    Returns:
        What happened, for a person, and whether nothing is left.

    Raises:
        TrackingRefusedError: MLflow does not let this project in.
    """
    lines = [f"{forget(refused()):,} refused entries deleted"] if discard else []
    if discard_for is not None:
        lines.append(f"{forget(entries_for(discard_for)):,} entries for {discard_for} deleted")
    adopt_unnamed()
    sent = start_telling()
    lines.append(_summary(sent))
    elsewhere = waiting_elsewhere()
    for server, count in elsewhere:
        lines.append(
            f"{count:,} entries wait for {server}, which is not the configured server: set MLFLOW_TRACKING_URI (and "
            "MLFLOW_EXPERIMENT_NAME) to it and run `presel sync`; if it is gone for good, `presel sync --discard-for "
            "SERVER` deletes them"
        )
    put_aside = refused()
    if put_aside:
        lines.append(
            f"MLflow did not take {len(put_aside):,} entries; they are kept, `presel sync --discard` deletes them:"
        )
        lines += [f"  {entry}" for entry in put_aside[:_SHOWN]]
    return "\n".join(lines), sent.left == 0 and not elsewhere and not put_aside


def _summary(sent: Sent) -> str:
    if sent.away:
        return f"{sent.sent:,} sent, {sent.left:,} kept: MLflow at {shown_address()} could not be told ({sent.away})"
    return f"{sent.sent:,} sent to {shown_address()}, nothing is kept for it" if sent.sent else "nothing to send"
