import sqlite3
import threading

import pytest
from sqlalchemy import inspect

from components.instructions.ledger.batches import open_batches_of
from components.instructions.ledger.book import LedgerBook
from components.instructions.ledger.ledger import LedgerError, find_entries, open_ledger
from components.instructions.ledger.migration import LATEST
from components.instructions.ledger.tables import METADATA
from components.instructions.ledger.totals import ledger_cost, ledger_totals
from components.instructions.ledger.workers import registered_worker
from components.instructions.provider import Answer, Failure, Send, Setback
from components.instructions.request import InstructionRequest, RequestSpecification, identify_request
from components.pool.samples import Turn

SPECIFICATION = RequestSpecification(model="m")


def identified(name: str):
    return identify_request(InstructionRequest(f"t/{name}", "t", name, f"{name}.png", (name,)), SPECIFICATION)


A, B, C = identified("a"), identified("b"), identified("c")


def book_of(ledger, worker, run="r"):
    return LedgerBook(ledger, provider="p", run=run, worker=worker)


@pytest.fixture
def book(ledger):
    with registered_worker(ledger, run="r") as worker:
        yield book_of(ledger, worker)


def sends(*requests, **options):
    return [Send(request, **options) for request in requests]


def answer(request, price=0.25):
    return Answer(request.request_id, (Turn("q", "réponse"),), "m-2", "{raw}", 10, 5, price, 1.5)


def attempts_of(ledger):
    statement = "select request_id, number, kind, run, outcome, price_usd, may_cost_usd from attempts order by 1, 2"
    with ledger.engine.connect() as connection:
        return [tuple(row)[1:] for row in connection.exec_driver_sql(statement)]


def test_an_answer_survives_closing(new_url):
    with open_ledger(new_url) as ledger, registered_worker(ledger, run="r") as worker:
        assert book_of(ledger, worker).announce(sends(A, B)) == [True, True]
        book_of(ledger, worker).settle([answer(A)])
    with open_ledger(new_url) as ledger:
        entries = find_entries(ledger, [A.request_id, B.request_id, C.request_id])
    assert set(entries) == {A.request_id, B.request_id}
    entry = entries[A.request_id]
    assert (entry.state, entry.turns, entry.model) == ("answered", (Turn("q", "réponse"),), "m-2")
    assert (entry.attempts, entry.input_tokens, entry.output_tokens, entry.price_usd) == (1, 10, 5, 0.25)
    assert entries[B.request_id].state == "pending"


def test_asking_is_durable_before_anything_is_sent(tmp_path, monkeypatch):
    monkeypatch.undo()  # as shipped
    with (
        open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as ledger,
        registered_worker(ledger, run="r") as worker,
    ):
        book_of(ledger, worker).announce(sends(A))
        # Another process sees it at once, and the file is set up to keep it through a power cut.
        with sqlite3.connect(tmp_path / "ledger.sqlite") as other:
            assert other.execute("select state, attempts from requests").fetchall() == [("pending", 1)]
        with ledger.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


def test_a_failure_is_quarantined_with_its_cost(ledger, book):
    book.announce(sends(A))
    book.settle([Failure(A.request_id, "not_text", "why", "{raw}", 3, 2, 0.1)])
    entry = find_entries(ledger, [A.request_id])[A.request_id]
    assert (entry.state, entry.reason, entry.detail, entry.price_usd) == ("quarantined", "not_text", "why", 0.1)
    assert ledger_cost(ledger) == 0.1


@pytest.mark.parametrize("outcome", [answer(A), Failure(A.request_id, "r", "d")])
def test_what_has_an_outcome_is_never_sent_again(ledger, book, outcome):
    book.announce(sends(A))
    book.settle([outcome])
    assert book.announce(sends(B, A)) == [True, False]
    with pytest.raises(LedgerError, match="not pending"):
        book.settle([answer(A)])
    assert find_entries(ledger, [A.request_id])[A.request_id].attempts == 1


def test_an_outcome_that_was_not_announced_is_refused(book):
    with pytest.raises(LedgerError, match="not pending"):
        book.settle([answer(A)])


def test_a_setback_leaves_the_request_open_and_is_paid_for(ledger, book):
    book.announce(sends(A, may_cost_usd=0.4))
    book.settle([Setback(A.request_id, "unusable", "not_json", "d", "{raw", 7, 3, 0.2)])
    assert book.announce(sends(A, kind="repair", may_cost_usd=0.5)) == [True]
    book.settle([answer(A)])
    entry = find_entries(ledger, [A.request_id])[A.request_id]
    assert (entry.state, entry.attempts, entry.input_tokens, entry.output_tokens) == ("answered", 2, 17, 8)
    assert entry.price_usd == pytest.approx(0.45)
    assert attempts_of(ledger) == [(1, "first", "r", "unusable", 0.2, 0.4), (2, "repair", "r", "answered", 0.25, 0.5)]


def test_a_send_that_does_not_know_of_a_paid_reply_is_refused(ledger):
    """Another purchase paid for the reply after this one had looked, and ended before it sent the reply back."""
    unusable = Setback(A.request_id, "unusable", "not_json", "d", "{raw", 7, 3, 0.2)
    with registered_worker(ledger, run="one") as first, registered_worker(ledger, run="two") as second:
        two = book_of(ledger, second, "two")
        assert two.unusable_replies([A.request_id]) == {}
        one = book_of(ledger, first, "one")
        assert one.announce(sends(A, replies=0)) == [True]
        one.settle([unusable])
        one.release()
        assert two.announce(sends(A, B, replies=0)) == [False, True]
        assert two.announce_batch("batch", sends(A, replies=0), endpoint="e")[1] == [False]
        assert two.announce(sends(A, replies=1, kind="repair")) == [True]
        two.settle([unusable])
        assert two.announce(sends(A, replies=1)) == [False]
        assert two.announce(sends(A)) == [True], "what another kind of provider sends does not depend on them"


def test_what_a_purchase_has_in_hand_is_refused_to_others_while_it_lives(ledger):
    with registered_worker(ledger, run="one") as first, registered_worker(ledger, run="two") as second:
        one, two = book_of(ledger, first, "one"), book_of(ledger, second, "two")
        assert one.announce(sends(A)) == [True]
        assert two.announce(sends(A, B)) == [False, True]
        one.settle([Setback(A.request_id, "refused", "server_error", "500")])
        assert two.announce(sends(A)) == [False], "between two attempts it stays in its hand"
        one.release()
        assert two.announce(sends(A)) == [True]


def test_what_a_dead_purchase_had_in_flight_is_lost_and_named(ledger):
    with registered_worker(ledger, run="first") as dead:
        book_of(ledger, dead, "first").announce(sends(A, may_cost_usd=0.3))
    with registered_worker(ledger, run="second") as worker:
        book = book_of(ledger, worker, "second")
        assert book.announce(sends(A)) == [True]
        book.settle([answer(A)])
        late = book_of(ledger, dead, "first")
        late.settle([answer(A, price=0.3)])
    assert attempts_of(ledger) == [
        (1, "first", "first", "answered", 0.3, 0.3),
        (2, "retry", "second", "answered", 0.25, 0.0),
    ]
    entry = find_entries(ledger, [A.request_id])[A.request_id]
    assert entry.price_usd == pytest.approx(0.55), "an answer that comes late is paid for all the same"


def test_lost_attempts_count_as_uncertain_money(ledger):
    with registered_worker(ledger, run="first") as dead:
        book_of(ledger, dead, "first").announce(sends(A, may_cost_usd=0.3))
    with registered_worker(ledger, run="second") as worker:
        book = book_of(ledger, worker, "second")
        book.announce(sends(A, B, may_cost_usd=0.3))
        book.settle([answer(A), Setback(B.request_id, "unknown", "timeout", "d")])
        assert book.run_spent_usd == pytest.approx(0.25 + 0.3)
    totals = ledger_totals(ledger)
    assert totals.uncertain == 2
    assert totals.uncertain_usd == pytest.approx(0.6)


def test_totals_per_run(ledger):
    with registered_worker(ledger, run="first") as worker:
        book = book_of(ledger, worker, "first")
        book.announce(sends(A, B))
        book.settle([answer(A), Failure(B.request_id, "r", "d", price_usd=0.05)])
        book_of(ledger, worker, "second").announce(sends(C))
    totals = ledger_totals(ledger)
    assert (totals.requests, totals.answered, totals.quarantined, totals.pending) == (3, 1, 1, 1)
    assert (totals.attempts, totals.input_tokens, totals.output_tokens) == (3, 10, 5)
    assert totals.price_usd == pytest.approx(0.3)
    first, second = ledger_totals(ledger, run="first"), ledger_totals(ledger, run="second")
    assert (first.requests, first.attempts, first.pending) == (2, 2, 0)
    assert (second.requests, second.pending, second.price_usd) == (1, 1, 0.0)
    assert ledger_totals(ledger, run="none").requests == 0


def test_many_requests_at_once(ledger, book):
    many = [identified(f"x{number}") for number in range(1203)]
    assert all(book.announce(sends(*many)))
    book.settle([answer(one, price=0.01) for one in many])
    entries = find_entries(ledger, [one.request_id for one in many])
    assert len(entries) == 1203
    assert ledger_cost(ledger) == pytest.approx(12.03)


def test_two_purchases_at_once_share_the_requests_and_never_both_get_one(url):
    many = [identified(f"x{number}") for number in range(60)]
    granted: list[list[str]] = [[], []]
    errors = []

    def buy(side: int) -> None:
        try:
            with open_ledger(url) as own, registered_worker(own, run=str(side)) as worker:
                book = book_of(own, worker, str(side))
                for request in many if side else reversed(many):
                    if book.announce(sends(request)) == [True]:
                        granted[side].append(request.request_id)
                        book.settle([answer(request)])
        except Exception as error:  # noqa: BLE001 -- handed to the main thread
            errors.append(error)

    threads = [threading.Thread(target=buy, args=(side,)) for side in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert not set(granted[0]) & set(granted[1])
    assert len(granted[0]) + len(granted[1]) == 60


def test_two_outcomes_of_one_request_are_refused(ledger, book):
    book.announce(sends(A))
    with pytest.raises(LedgerError, match="one outcome"):
        book.settle([answer(A), answer(A)])
    assert ledger_cost(ledger) == 0


def test_a_batch_outlives_the_purchase_that_sent_it(ledger):
    with registered_worker(ledger, run="one") as first:
        book = book_of(ledger, first, "one")
        number = book.open_batch("batch")
        assert book.announce(sends(A, B, C, batch=number)) == [True, True, True]
        book.name_batch(number, "batch_17")
    with registered_worker(ledger, run="two") as second:
        book = book_of(ledger, second, "two")
        assert book.announce(sends(A)) == [False], "it is still out"
        assert open_batches_of(ledger, [A.request_id]) == {A.request_id: f"batch {number} batch_17"}
        [adopted] = book.adopt_batches("batch")
        assert (adopted.number, adopted.reference) == (number, "batch_17")
        assert {one.request_id for one in adopted.requests} == {one.request_id for one in (A, B, C)}
        assert adopted.requests[0].specification == SPECIFICATION
        book.settle([answer(A), Setback(B.request_id, "refused", "expired", "d")])
        book.close_batch(number)
        assert book.announce(sends(A, B, C)) == [False, True, True]
    outcomes = [row[3] for row in attempts_of(ledger)]
    assert sorted(outcomes) == ["answered", "asked", "asked", "lost", "refused"]


def test_a_batch_that_somebody_looks_after_is_not_taken(ledger):
    with registered_worker(ledger, run="one") as first, registered_worker(ledger, run="two") as second:
        book_of(ledger, first).open_batch("batch")
        assert book_of(ledger, second).adopt_batches("batch") == []
        book_of(ledger, first).release()
        assert len(book_of(ledger, second).adopt_batches("batch")) == 1


def test_a_first_ledger_is_brought_up_to_date(tmp_path):
    """The tables as the first published program made them, with a row of each."""
    file = tmp_path / "old.sqlite"
    with sqlite3.connect(file) as old:
        old.executescript(
            """
            create table ledger_schema (version integer not null primary key);
            insert into ledger_schema values (1);
            create table requests (request_id varchar(64) not null primary key, sample_id text not null,
              task text not null, image_sha varchar(64) not null, provider text not null,
              specified_model text not null, prompt_template text not null, sampling text not null,
              request_schema_version integer not null, state varchar(16) not null, attempts integer not null,
              model text, turns text, input_tokens integer not null, output_tokens integer not null,
              price_usd float not null, reason text, detail text, created_at varchar(32) not null,
              updated_at varchar(32) not null);
            create index requests_sample_id on requests (sample_id);
            create table attempts (request_id varchar(64) not null references requests (request_id),
              number integer not null, run text not null, outcome varchar(16) not null, raw_text text,
              input_tokens integer not null, output_tokens integer not null, price_usd float not null,
              latency_seconds float, error text, asked_at varchar(32) not null, finished_at varchar(32),
              primary key (request_id, number));
            create index attempts_run on attempts (run);
            insert into requests values ('id', 't/a', 't', 'sha', 'existing', 'm', '', '', 1, 'answered', 2, 'file',
              '[["q", "r"]]', 0, 0, 0.02, null, null, 'then', 'then');
            insert into attempts values ('id', 1, 'run', 'lost', null, 0, 0, 0, null, null, 'then', 'then');
            insert into attempts values ('id', 2, 'run', 'answered', 'raw', 0, 0, 0.02, 0.1, null, 'then', 'then');
            """
        )
    old.close()
    with open_ledger(f"sqlite:///{file}") as ledger:
        entry = find_entries(ledger, ["id"])["id"]
        assert (entry.state, entry.turns, entry.price_usd) == ("answered", (Turn("q", "r"),), 0.02)
        assert [row[1] for row in attempts_of(ledger)] == ["first", "retry"]
        assert "ledger_schema" not in inspect(ledger.engine).get_table_names()
    with open_ledger(f"sqlite:///{file}") as ledger:
        assert ledger_cost(ledger) == 0.02


def test_the_migrations_make_the_tables_that_the_program_declares(ledger):
    found = inspect(ledger.engine)
    for table in METADATA.sorted_tables:
        columns = {column["name"]: column["nullable"] for column in found.get_columns(table.name)}
        assert columns == {column.name: bool(column.nullable) for column in table.columns}, table.name
        assert {index["name"] for index in found.get_indexes(table.name)} == {index.name for index in table.indexes}


def test_a_ledger_of_a_newer_program_is_refused(new_url):
    with open_ledger(new_url) as ledger, ledger.engine.begin() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '0099'")
    with (
        pytest.raises(LedgerError, match=f"version 0099, this program knows versions up to {LATEST}"),
        open_ledger(new_url),
    ):
        pass


def test_a_server_that_is_not_there_is_named_without_a_password(monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "secret-of-the-test")
    with (
        pytest.raises(LedgerError, match=r"postgresql\+psycopg://someone@127.0.0.1:1/x cannot be opened") as caught,
        open_ledger("postgresql+psycopg://someone@127.0.0.1:1/x"),
    ):
        pass
    assert "secret-of-the-test" not in str(caught.value)


def test_runs_that_start_together_all_open_a_new_ledger(tmp_path):
    failures: list[Exception] = []

    def open_it(url, barrier):
        barrier.wait()
        try:
            with open_ledger(url):
                pass
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is reported below
            failures.append(error)

    for number in range(10):
        barrier = threading.Barrier(4)
        url = f"sqlite:///{tmp_path}/{number}.sqlite"
        threads = [threading.Thread(target=open_it, args=(url, barrier)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


@pytest.mark.postgresql
def test_runs_that_start_together_all_open_a_new_postgresql_ledger(postgresql_url):
    failures: list[Exception] = []
    barrier = threading.Barrier(4)

    def open_it():
        barrier.wait()
        try:
            with open_ledger(postgresql_url):
                pass
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is reported below
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_what_is_given_up_has_its_last_failure_and_what_another_sends_is_left_to_it(ledger, book):
    book.announce(sends(A, may_cost_usd=0.5) + sends(B))
    book.settle(
        [Setback(A.request_id, "unknown", "timeout", "no reply: 3 s"), Setback(B.request_id, "refused", "x", "")]
    )
    book.release()
    with registered_worker(ledger, run="r") as worker:
        assert book_of(ledger, worker).announce(sends(B)) == [True]
        book.give_up([A.request_id, B.request_id])
        assert book.take_refused() == {B.request_id}
    entries = find_entries(ledger, [A.request_id, B.request_id])
    assert (entries[A.request_id].state, entries[A.request_id].reason, entries[A.request_id].detail) == (
        "quarantined",
        "timeout",
        "no reply: 3 s",
    )
    assert entries[A.request_id].price_usd == book.spent_usd == ledger_cost(ledger) == 0.5
    assert entries[B.request_id].state == "pending"
    book.give_up([B.request_id])  # whoever had it was killed
    assert find_entries(ledger, [B.request_id])[B.request_id].state == "quarantined"
    assert ledger_totals(ledger).uncertain == 1, "what was in flight then"
