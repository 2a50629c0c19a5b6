"""The tables of the instruction ledger; `migrations/` brings older ledgers to this form."""

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

METADATA = MetaData()

# One row per process that buys, for as long as it is known to others by its number.
WORKERS = Table(
    "workers",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("run", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("process", Integer, nullable=False),
    Column("started_at", String(32), nullable=False),  # ISO 8601, UTC
)

# One row per group of requests that is handed out as a whole: to a batch service, to people.
BATCHES = Table(
    "batches",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),  # batch | people
    Column("reference", Text, nullable=False),  # what the endpoint calls it, or the folder that people got
    Column("state", String(16), nullable=False),  # open | closed
    Column("run", Text, nullable=False),
    Column("worker", Integer),  # who looks after it
    Column("created_at", String(32), nullable=False),
    Column("closed_at", String(32)),
    Column("endpoint", Text),  # address without secrets, or `files`; null: of people, or of an older program
    Column("submitted_at", String(32)),  # when handing in began; null: nothing of it can have been charged
)

# One row per time a person was asked whether a run may spend what it wants to.
DECISIONS = Table(
    "decisions",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("run", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("needed_usd", Float, nullable=False),  # dollars of the whole run that it was about
    Column("approved_usd", Float, nullable=False),  # dollars that the run may spend; 0: declined
    Column("decided_at", String(32), nullable=False),
)
Index("decisions_run", DECISIONS.c.run)

# One row per request, written before it is sent the first time.
REQUESTS = Table(
    "requests",
    METADATA,
    Column("request_id", String(64), primary_key=True),
    Column("sample_id", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("image_sha", String(64), nullable=False),
    Column("uri", Text, nullable=False),  # where the image was; no part of the identity
    Column("provider", Text, nullable=False),
    Column("specified_model", Text, nullable=False),
    Column("prompt_template", Text, nullable=False),
    Column("sampling", Text, nullable=False),
    Column("request_schema_version", Integer, nullable=False),
    Column("state", String(16), nullable=False),  # pending | answered | quarantined
    Column("attempts", Integer, nullable=False),
    Column("claimed_by", Integer),  # who has a pending request in hand
    Column("model", Text),  # who answered
    Column("turns", Text),  # JSON: [[question, response], ...]
    Column("input_tokens", BigInteger, nullable=False),  # of all attempts
    Column("output_tokens", BigInteger, nullable=False),  # of all attempts
    Column("price_usd", Float, nullable=False),  # dollars, of all attempts
    Column("reason", Text),  # of a quarantine
    Column("detail", Text),
    Column("created_at", String(32), nullable=False),
    Column("updated_at", String(32), nullable=False),
)
Index("requests_sample_id", REQUESTS.c.sample_id)
Index("requests_claimed_by", REQUESTS.c.claimed_by)

# One row per time a request was sent, written before it is sent and completed when the outcome is there.
ATTEMPTS = Table(
    "attempts",
    METADATA,
    Column("request_id", String(64), ForeignKey("requests.request_id"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # from 1
    Column("kind", String(16), nullable=False),  # first | retry | repair
    Column("run", Text, nullable=False),
    Column("worker", Integer),
    Column("batch", Integer),
    # asked (in flight) | answered | failed (quarantined) | unusable | refused | unknown (may have been charged) |
    # lost (the process ended before the outcome was recorded; may have been charged)
    Column("outcome", String(16), nullable=False),
    Column("raw_text", Text),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("price_usd", Float, nullable=False),
    Column("may_cost_usd", Float, nullable=False),  # dollars at most, said before it was sent
    Column("latency_seconds", Float),
    Column("error", Text),
    Column("asked_at", String(32), nullable=False),
    Column("finished_at", String(32)),
)
Index("attempts_run", ATTEMPTS.c.run)
Index("attempts_batch", ATTEMPTS.c.batch)
