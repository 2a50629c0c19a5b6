"""The tables of the instruction ledger."""

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

LEDGER_SCHEMA_VERSION = 1

METADATA = MetaData()

SCHEMA = Table("ledger_schema", METADATA, Column("version", Integer, primary_key=True, autoincrement=False))

# One row per request, written before it is asked for the first time.
REQUESTS = Table(
    "requests",
    METADATA,
    Column("request_id", String(64), primary_key=True),
    Column("sample_id", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("image_sha", String(64), nullable=False),
    Column("provider", Text, nullable=False),
    Column("specified_model", Text, nullable=False),
    Column("prompt_template", Text, nullable=False),
    Column("sampling", Text, nullable=False),
    Column("request_schema_version", Integer, nullable=False),
    Column("state", String(16), nullable=False),  # pending | answered | quarantined
    Column("attempts", Integer, nullable=False),
    Column("model", Text),  # who answered
    Column("turns", Text),  # JSON: [[question, response], ...]
    Column("input_tokens", Integer, nullable=False),  # of all attempts
    Column("output_tokens", Integer, nullable=False),  # of all attempts
    Column("price_usd", Float, nullable=False),  # dollars, of all attempts
    Column("reason", Text),  # of a quarantine
    Column("detail", Text),
    Column("created_at", String(32), nullable=False),  # ISO 8601, UTC
    Column("updated_at", String(32), nullable=False),
)
Index("requests_sample_id", REQUESTS.c.sample_id)

# One row per time a request was sent, written before it is sent and completed when the outcome is there.
ATTEMPTS = Table(
    "attempts",
    METADATA,
    Column("request_id", String(64), ForeignKey("requests.request_id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 1
    Column("run", Text, nullable=False),
    Column("outcome", String(16), nullable=False),  # asked | answered | failed | lost (no outcome was recorded)
    Column("raw_text", Text),
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("price_usd", Float, nullable=False),
    Column("latency_seconds", Float),
    Column("error", Text),
    Column("asked_at", String(32), nullable=False),
    Column("finished_at", String(32)),
)
Index("attempts_run", ATTEMPTS.c.run)
