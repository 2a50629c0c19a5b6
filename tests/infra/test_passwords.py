"""The file of the stack's passwords."""

from pathlib import Path

import pytest

from infra.stack.passwords import FILE, passwords_of
from infra.stack.settings import StackError


def test_drawn_once_and_kept(tmp_path: Path) -> None:
    first = passwords_of(tmp_path)
    assert passwords_of(tmp_path) == first
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert passwords_of(tmp_path).mlflow not in repr(first)


def test_a_removed_password_is_drawn_anew_and_the_others_stay(tmp_path: Path) -> None:
    first = passwords_of(tmp_path)
    file = tmp_path / FILE
    kept = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("prefect=")]
    file.write_text("\n".join(kept), encoding="utf-8")
    second = passwords_of(tmp_path)
    assert second.prefect != first.prefect
    assert second.mlflow == first.mlflow


@pytest.mark.parametrize(
    ("change", "said"),
    [("mlflow=it's\n", "letters, digits"), ("minio=abc\n", "it may name"), ("no equals\n", "NAME=PASSWORD")],
)
def test_a_line_that_is_none_is_refused(tmp_path: Path, change: str, said: str) -> None:
    file = tmp_path / FILE
    file.write_text(change, encoding="utf-8")
    file.chmod(0o600)
    with pytest.raises(StackError, match=said):
        passwords_of(tmp_path)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    passwords_of(tmp_path)
    (tmp_path / FILE).chmod(0o644)
    with pytest.raises(StackError, match="chmod 600"):
        passwords_of(tmp_path)
