"""What MLflow keeps of a run is what it was told of."""

import hashlib

import pytest

from components.lineage.lock_file import LineageError
from tasks.platform import run_archive
from tasks.platform.run_archive import RunArchive
from tasks.platform.run_checks import check_record

LOCK, PATCH = "schema: '2.0'\nstages: {}\n", b"a patch"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def archive(code_digest: str, files: frozenset[str]) -> RunArchive:
    tags = {"presel.dvc_lock_sha256": digest(LOCK.encode()), "presel.code_diff_sha256": code_digest}
    return RunArchive(
        run_id="r", name="r", status="FINISHED", started_ms=0, ended_ms=1, tags=tags, lock_text=LOCK,
        parameter_text="", stages=(), strategy="presel", ledger="", files=files,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code_digest", "files", "found"),
    [
        ("", frozenset(), []),
        (digest(PATCH), frozenset({"code.diff"}), []),
        (digest(b"another"), frozenset({"code.diff"}), [(digest(b"another"), digest(PATCH))]),
        (digest(PATCH), frozenset(), [(digest(PATCH), "nothing")]),
        ("", frozenset({"code.diff"}), [("nothing", digest(PATCH))]),
    ],
)
def test_another_change_of_the_code_than_the_recorded_one_is_found(
    monkeypatch: pytest.MonkeyPatch, code_digest: str, files: frozenset[str], found: list[tuple[str, str]]
) -> None:
    monkeypatch.setattr(run_archive, "run_file", lambda *_: PATCH)
    run = archive(code_digest, files)
    assert [(one.expected, one.found) for one in check_record(run)] == found
    if code_digest == digest(PATCH) and files:
        assert run.code_changes() == PATCH
    elif code_digest:
        with pytest.raises(LineageError, match=r"cannot be made again|is not the change"):
            run.code_changes()
