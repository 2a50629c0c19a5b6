"""Looking at a ledger changes nothing: no file is made, no table, nothing is brought up to date."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect, text

from components.instructions.ledger.ledger import LedgerError, open_ledger
from components.instructions.ledger.totals import ledger_totals
from components.instructions.ledger.workers import registered_worker


def _files(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(one): (one.stat().st_mtime_ns, one.read_bytes()) for one in folder.rglob("*") if one.is_file()}


def test_a_ledger_that_is_not_there_is_empty_and_stays_away(new_url: str, tmp_path: Path) -> None:
    with open_ledger(new_url, make=False) as ledger:
        assert ledger_totals(ledger).requests == 0
    assert list(tmp_path.iterdir()) == []
    if new_url.startswith("postgresql"):
        engine = create_engine(new_url)
        assert inspect(engine).get_table_names() == []
        engine.dispose()


def test_what_is_in_a_ledger_is_seen_and_its_files_stay_as_they_are(url: str, tmp_path: Path) -> None:
    before = _files(tmp_path)
    with open_ledger(url, make=False) as ledger:
        assert ledger_totals(ledger).requests == 0
    assert _files(tmp_path) == before


def test_what_another_is_writing_is_seen(url: str, tmp_path: Path) -> None:
    with open_ledger(url) as written, registered_worker(written, run="r"):
        before = set(_files(tmp_path))
        with open_ledger(url, make=False) as ledger, ledger.engine.connect() as connection:
            assert connection.execute(text("SELECT count(*) FROM workers")).scalar_one() == 1
        assert set(_files(tmp_path)) == before


@pytest.mark.parametrize(
    ("version", "said"), [("0002", "`presel batches list` brings it up to date"), ("9999", "knows versions up to")]
)
def test_another_version_is_said_in_a_sentence_and_left_alone(
    new_url: str, tmp_path: Path, version: str, said: str
) -> None:
    with open_ledger(new_url) as ledger, ledger.writer.begin() as connection:
        connection.execute(text(f"UPDATE alembic_version SET version_num = '{version}'"))
    before = _files(tmp_path)
    with pytest.raises(LedgerError, match=said), open_ledger(new_url, make=False):
        pass
    assert _files(tmp_path) == before
