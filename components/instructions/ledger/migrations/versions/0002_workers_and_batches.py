"""Several workers on one ledger, batches, decisions, and what a send may cost at most."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the tables and columns; rows that are there keep their meaning."""
    op.create_table(
        "workers",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("process", sa.Integer, nullable=False),
        sa.Column("started_at", sa.String(32), nullable=False),
    )
    op.create_table(
        "batches",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("worker", sa.Integer),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("closed_at", sa.String(32)),
    )
    op.create_table(
        "decisions",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("stage", sa.Text, nullable=False),
        sa.Column("needed_usd", sa.Float, nullable=False),
        sa.Column("approved_usd", sa.Float, nullable=False),
        sa.Column("decided_at", sa.String(32), nullable=False),
    )
    op.create_index("decisions_run", "decisions", ["run"])
    # Plain columns: SQLite would have to make the tables anew to add a reference.
    op.add_column("requests", sa.Column("uri", sa.Text, nullable=False, server_default=""))
    op.add_column("requests", sa.Column("claimed_by", sa.Integer))
    op.create_index("requests_claimed_by", "requests", ["claimed_by"])
    op.add_column("attempts", sa.Column("kind", sa.String(16), nullable=False, server_default="first"))
    op.add_column("attempts", sa.Column("worker", sa.Integer))
    op.add_column("attempts", sa.Column("batch", sa.Integer))
    op.add_column("attempts", sa.Column("may_cost_usd", sa.Float, nullable=False, server_default="0"))
    op.create_index("attempts_batch", "attempts", ["batch"])
    op.execute("UPDATE attempts SET kind = 'retry' WHERE number > 1")
