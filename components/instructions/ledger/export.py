"""The ledger's rows as a table that goes with the artifact: what was sent for it, and what it cost."""

from collections.abc import Sequence

import pyarrow as pa
from sqlalchemy import select

from components.instructions.ledger.ledger import IDS_PER_QUERY, Ledger
from components.instructions.ledger.tables import ATTEMPTS, REQUESTS
from components.schemas import ATTEMPT_ROWS


def attempt_table(ledger: Ledger, request_ids: Sequence[str]) -> pa.Table:
    """Every time one of these requests was sent.

    Times and the names of runs are left out: what was bought once gives the same table wherever it is exported.

    Args:
        ledger: where they are recorded.
        request_ids: which.

    Returns:
        Columns of `components.schemas.ATTEMPT_ROWS`, sorted by sample, request and number.
    """
    columns = (
        REQUESTS.c.sample_id,
        REQUESTS.c.task,
        ATTEMPTS.c.request_id,
        ATTEMPTS.c.number,
        ATTEMPTS.c.kind,
        ATTEMPTS.c.outcome,
        REQUESTS.c.provider,
        REQUESTS.c.specified_model.label("model"),
        ATTEMPTS.c.input_tokens,
        ATTEMPTS.c.output_tokens,
        ATTEMPTS.c.price_usd,
        ATTEMPTS.c.may_cost_usd,
        ATTEMPTS.c.error,
        ATTEMPTS.c.raw_text,
    )
    rows: list[dict[str, object]] = []
    with ledger.engine.connect() as connection:
        for start in range(0, len(request_ids), IDS_PER_QUERY):
            wanted = ATTEMPTS.c.request_id.in_(request_ids[start : start + IDS_PER_QUERY])
            joined = select(*columns).join(REQUESTS, REQUESTS.c.request_id == ATTEMPTS.c.request_id).where(wanted)
            rows += [
                {**row._mapping, "error": row.error or "", "raw_text": row.raw_text or ""}
                for row in connection.execute(joined)
            ]
    rows.sort(key=lambda row: (row["sample_id"], row["request_id"], row["number"]))
    return pa.Table.from_pylist(rows, schema=ATTEMPT_ROWS)
