"""Where batches are and since when they may be charged; counts of tokens that do not overflow."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns; rows that are there keep their meaning."""
    op.add_column("batches", sa.Column("endpoint", sa.Text))
    op.add_column("batches", sa.Column("submitted_at", sa.String(32)))
    # Programs before did not write down when they began to hand in: all that is open may have been.
    op.execute("UPDATE batches SET submitted_at = created_at WHERE kind = 'batch' AND state = 'open'")
    op.execute("UPDATE batches SET endpoint = 'files' WHERE kind = 'batch' AND reference LIKE '%.jsonl'")
    # SQLite's integers have 64 bits whatever they are called.
    if op.get_context().dialect.name == "postgresql":
        for table in ("requests", "attempts"):
            for column in ("input_tokens", "output_tokens"):
                op.alter_column(table, column, type_=sa.BigInteger)
