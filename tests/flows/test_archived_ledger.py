"""Walking back and verifying only look at the ledger of a run, which an older program may still need."""

from pathlib import Path

import pytest
from sqlalchemy import text

from components.instructions.ledger.ledger import LedgerError, open_ledger
from flows.lineage import _histories
from tasks.platform.run_archive import RunArchive

ROOT = Path(__file__).parents[2]


def test_the_ledger_of_an_older_program_is_named_and_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    with open_ledger(url) as ledger, ledger.writer.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0002'"))
    before = (tmp_path / "ledger.sqlite").read_bytes()
    archive = RunArchive("id", "run", "FINISHED", 0, 1, {}, "", "", (), "presel", url, frozenset())
    with pytest.raises(LedgerError, match="only looked at"):
        _histories(archive, {})
    assert (tmp_path / "ledger.sqlite").read_bytes() == before


@pytest.mark.parametrize("command", ["lineage", "verify", "plan"])
def test_no_command_that_only_reads_opens_a_ledger_to_write(command: str) -> None:
    source = (ROOT / "flows" / f"{command}.py").read_text(encoding="utf-8")
    calls = source.split("open_ledger(")[1:]
    assert calls
    assert all("make=False" in call.partition(")")[0] for call in calls)
