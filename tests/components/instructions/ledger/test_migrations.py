"""Ledgers of every published version are brought up to date, on SQLite and PostgreSQL."""

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, select

from components.instructions.ledger import migration as ledger_migration
from components.instructions.ledger.batches import batches_out
from components.instructions.ledger.book import LedgerBook
from components.instructions.ledger.ledger import find_entries, open_ledger
from components.instructions.ledger.tables import BATCHES, REQUESTS
from components.instructions.ledger.totals import ledger_totals
from components.instructions.ledger.workers import registered_worker

REQUEST = """
insert into requests (request_id, sample_id, task, image_sha, provider, specified_model, prompt_template, sampling,
  request_schema_version, state, attempts, model, turns, input_tokens, output_tokens, price_usd, created_at, updated_at)
values ('{id}', 't/{id}', 't', 'sha', 'openai', 'm', '', '', 1, '{state}', 1, 'm-1', '[["q", "r"]]', 100, 50, 0.02,
  'then', 'then')
"""
ATTEMPT = """
insert into attempts (request_id, number, run, outcome, input_tokens, output_tokens, price_usd, asked_at)
values ('{id}', 1, 'run', '{outcome}', 100, 50, 0.02, 'then')
"""
BATCH = "insert into batches values ({number}, '{kind}', '{reference}', '{state}', 'run', null, 'then', null)"


def write_ledger(url: str, version: str, *statements: str) -> None:
    """A ledger as a program of that version made it."""
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url)
    config = Config()
    config.set_main_option("script_location", str(Path(ledger_migration.__file__).parent / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, version)
        if version == "0001":  # as first published, before migrations were
            connection.exec_driver_sql("drop table alembic_version")
            connection.exec_driver_sql("create table ledger_schema (version integer not null primary key)")
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.mark.parametrize("version", ["0001", "0002"])
def test_what_was_bought_is_kept_and_tokens_may_be_many(new_url, version):
    write_ledger(
        new_url,
        version,
        REQUEST.format(id="a", state="answered"),
        ATTEMPT.format(id="a", outcome="answered"),
        REQUEST.format(id="b", state="pending"),
        ATTEMPT.format(id="b", outcome="lost"),
    )
    with open_ledger(new_url) as ledger:
        entry = find_entries(ledger, ["a"])["a"]
        assert (entry.state, entry.price_usd, entry.input_tokens) == ("answered", 0.02, 100)
        many = 3 * 2**31
        with ledger.engine.begin() as connection:
            for table in ("requests", "attempts"):
                connection.exec_driver_sql(f"update {table} set input_tokens = {many}, output_tokens = {many}")
        totals = ledger_totals(ledger)
        assert (totals.input_tokens, type(totals.input_tokens)) == (2 * many, int)
        with ledger.engine.connect() as connection:
            assert connection.execute(select(REQUESTS.c.output_tokens)).scalars().all() == [many, many]
    with open_ledger(new_url) as ledger:
        assert ledger_totals(ledger).requests == 2


def test_open_batches_of_an_older_program_may_have_been_handed_in(new_url):
    write_ledger(
        new_url,
        "0002",
        BATCH.format(number=1, kind="batch", reference="batch_17", state="open"),
        BATCH.format(number=2, kind="batch", reference="", state="open"),
        BATCH.format(number=3, kind="batch", reference=".presel/batches/a.jsonl", state="open"),
        BATCH.format(number=4, kind="people", reference="/to-write", state="open"),
        BATCH.format(number=5, kind="batch", reference="batch_16", state="closed"),
    )
    with open_ledger(new_url) as ledger:
        with ledger.engine.connect() as connection:
            rows = connection.execute(select(BATCHES.c.endpoint, BATCHES.c.submitted_at).order_by(BATCHES.c.number))
            assert [tuple(row) for row in rows] == [
                (None, "then"),
                (None, "then"),
                ("files", "then"),
                (None, None),
                (None, None),
            ]
        assert [batch.number for batch in batches_out(ledger)] == [1, 2, 3, 4]
        with registered_worker(ledger, run="r") as worker:
            book = LedgerBook(ledger, provider="batch", run="r", worker=worker)
            assert [one.number for one in book.adopt_batches("batch", endpoint="http://a/v1")] == [1, 2]
            assert [one.number for one in book.adopt_batches("batch", endpoint="files")] == [1, 2, 3]
