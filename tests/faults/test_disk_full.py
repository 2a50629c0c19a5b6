"""The disk is full while vectors, the ledger or a checkpoint are written: the run says so, and goes on after."""

from pathlib import Path

import pytest
import yaml

from tests.faults.laboratory import Laboratory

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.mount, pytest.mark.timeout(900)]
ROOM = "64m"
# By what is written first to a disk too small for it: the folder, its size, what is said. What vectors take is known
# before they are computed.
DISKS = (
    ("runs/full/data", "120k", "at least, and"),
    (".presel/small", "60k", "instruct_reference found the disk full"),
    (".presel/scratch/full", "200k", "reference_tune found the disk full"),
)


def test_the_disk_is_full(laboratory: Laboratory) -> None:
    if not laboratory.can_mount:
        pytest.skip("neither root nor an unprivileged user may mount a small file system here")
    root = laboratory.root
    here = (
        "run", "--name", "full", "--set", "baselines=[]",
        "--set", "encoder.dtype=float32",
        "--set", "instructions.ledger=sqlite:///.presel/small/ledger.sqlite",
    )  # fmt: skip
    for folder, size, _ in DISKS:
        (root / folder).mkdir(parents=True)
        laboratory.shell("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(root / folder))
    try:
        for folder, _, said in DISKS:
            failed = laboratory.presel(*here)
            assert failed.code == 1, failed.output
            assert said in failed.output, failed.output[-3000:]
            assert "Free space" in failed.output
            laboratory.shell("mount", "-o", f"remount,size={ROOM}", str(root / folder))
        done = laboratory.presel(*here)
        assert done.code == 0, done.output
        copy = root / "outcome"
        copy.mkdir()
        laboratory.shell("cp", "-r", str(root / "runs/full/data/vectors"), str(copy))
        laboratory.shell("cp", str(root / ".presel/small/ledger.sqlite"), str(copy))
    finally:
        for folder, _, _ in DISKS:
            laboratory.shell("umount", str(root / folder))
    check_vectors(copy / "vectors")
    check_purchases(copy / "ledger.sqlite", root / "runs/full/dvc.lock")


def check_vectors(database: Path) -> None:
    import lancedb

    shas = lancedb.connect(database).open_table("vectors").search().select(["image_sha"]).to_arrow()["image_sha"]
    assert len(shas) == len(shas.unique()) == 120


def check_purchases(ledger: Path, lock: Path) -> None:
    import sqlite3

    with sqlite3.connect(ledger) as connection:
        attempts, requests = connection.execute("select count(*), count(distinct request_id) from attempts").fetchone()
    assert attempts == requests == 36, "12 of the reference set, 24 picked, each once"
    assert "tune" in yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]
