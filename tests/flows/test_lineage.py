"""Lineage and trust on a real project: walk back, tamper and see it found, the gate, collect, make again."""

import json
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from flows.curate import curate
from flows.lineage import trace_model
from flows.outcome import CurationOutcome
from flows.verify import verify_run
from tasks.platform.model_versions import champion_of, find_version
from tasks.platform.tracking import tracking_client
from tests.flows import command
from tests.flows.command import Ended
from tests.flows.finished_project import FirstRun, change_parameters

pytestmark = [pytest.mark.slow(80), pytest.mark.timeout(900)]


def presel(*arguments: str) -> Ended:
    """The command line, in this process."""
    return command.presel(Path.cwd(), *arguments)


def run(project: Path, *, register: bool = True, **changes: object) -> CurationOutcome:
    """Run with changed parameters, by section."""
    change_parameters(project, **changes)
    outcome = curate(".", register_version=register, return_state=True).result()
    assert isinstance(outcome, CurationOutcome)
    return outcome


@pytest.fixture(scope="module")
def first(project: Path, finished: FirstRun) -> CurationOutcome:
    """The finished run, whose model is version 1."""
    return finished.outcome


@pytest.fixture(scope="module")
def second(project: Path, first: CurationOutcome) -> CurationOutcome:
    """Another model from the same training set, by another tune: version 2, and the workspace has moved on."""
    return run(project, final_tune={"epochs": 2})


@contextmanager
def tampered(path: Path, content: bytes) -> Iterator[None]:
    """A file with other content, for as long as the block lasts."""
    before, mode = path.read_bytes(), path.stat().st_mode
    path.chmod(mode | stat.S_IWUSR)
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)
        path.chmod(mode)


def mismatches(run_id: str) -> list[tuple[str, str]]:
    return [(mismatch.check, mismatch.name) for mismatch in verify_run(run_id).mismatches]


def test_the_first_model_is_champion_and_says_why(project: Path, first: CurationOutcome) -> None:
    champion = champion_of("small")
    assert champion is not None
    assert champion.run_id == first.mlflow_run_id
    assert champion.tags["presel.promotion"] == "promoted: it is the first: there was no champion"


def test_every_sample_is_walked_back_to_its_reason_and_its_author(project: Path, first: CurationOutcome) -> None:
    lineage = trace_model("1")
    assert lineage.run.run_id == first.mlflow_run_id
    assert (len(lineage.samples), lineage.pool_samples) == (first.instructions, first.pool)
    assert sum(sample.author.price_usd for sample in lineage.samples) == pytest.approx(first.cost_usd)
    for sample in lineage.samples:
        assert sample.choice.origin in ("reference", "selection")
        assert (sample.choice.rank > 0) == (sample.choice.origin == "selection")
        assert (sample.author.provider, sample.author.model) == ("existing", "pool/annotations.json")
        assert sample.author.asked_at <= sample.author.answered_at


def test_an_older_model_is_walked_back_when_the_workspace_has_moved_on(
    project: Path, first: CurationOutcome, second: CurationOutcome
) -> None:
    assert second.model is not None
    assert second.model.version == "2"
    older, newer = trace_model("1"), trace_model("2")
    assert older.adapter.md5 != newer.adapter.md5
    assert json.dumps(list(map(asdict, older.samples))) == json.dumps(list(map(asdict, newer.samples)))
    picked = next(sample for sample in older.samples if sample.choice.origin == "selection")
    done = presel("lineage", "1", "--sample", picked.sample_id)
    assert done.code == 0, done.output
    assert f"rank {picked.choice.rank}" in done.output
    assert "It was picked: it is number" in done.output, (
        "the evidence of `presel explain`, from the run's own artifacts"
    )
    listed = json.loads(presel("lineage", "small/1", "--json", "--samples").output)
    assert [sample["sample_id"] for sample in listed["samples"]] == [sample.sample_id for sample in older.samples]


def test_what_was_left_alone_verifies(project: Path, first: CurationOutcome, second: CurationOutcome) -> None:
    for name, held in (("1", False), (second.mlflow_run_id[:8], True)):
        verification = verify_run(name)
        assert verification.mismatches == ()
        assert (verification.in_workspace == verification.artifacts) == held
        assert verification.instructions == first.instructions
    assert presel("verify").code == 0


def test_a_changed_file_of_the_cache_is_found(project: Path, second: CurationOutcome) -> None:
    expected = next(one for one in _listing(project, "data/selection") if one["relpath"] == "selection.parquet")
    stored = project / ".dvc/cache/files/md5" / expected["md5"][:2] / expected["md5"][2:]
    with tampered(stored, stored.read_bytes() + b" "):
        found = verify_run(second.mlflow_run_id).mismatches
        assert [(one.check, one.name) for one in found] == [("stored artifact", "data/selection/selection.parquet")]
        assert found[0].expected == expected["md5"]
        done = presel("verify", "2")
        assert done.code == 1
        assert "MISMATCH stored artifact: data/selection/selection.parquet" in done.output
        assert expected["md5"] in done.output


def _listing(project: Path, path: str) -> list[dict[str, str]]:
    lock = yaml.safe_load((project / "dvc.lock").read_text(encoding="utf-8"))
    md5 = next(out["md5"] for stage in lock["stages"].values() for out in stage["outs"] if out["path"] == path)
    listing: list[dict[str, str]] = json.loads(
        (project / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).read_text(encoding="utf-8")
    )
    return listing


def test_a_changed_file_of_the_workspace_is_found(project: Path, second: CurationOutcome) -> None:
    path = project / "data/training_set/train.json"
    with tampered(path, b"[]"):
        assert mismatches("2") == [("workspace", "data/training_set/train.json")]


def test_a_changed_file_of_the_registered_model_is_found(project: Path, second: CurationOutcome) -> None:
    registered = list((project / ".presel/mlflow-artifacts/models").rglob("adapter_model.safetensors"))
    assert len(registered) == 2
    newest = max(registered, key=lambda path: path.stat().st_mtime)
    with tampered(newest, newest.read_bytes()[:-1] + b"!"):
        assert mismatches("2") == [("registered model", "adapter/adapter_model.safetensors")]


def test_a_changed_dvc_lock_in_mlflow_is_found(project: Path, second: CurationOutcome) -> None:
    kept = project / ".presel/mlflow-artifacts" / second.mlflow_run_id / "artifacts/dvc.lock"
    with tampered(kept, kept.read_bytes() + b"# a line\n"):
        assert mismatches("2") == [("MLflow run", "sha256 of dvc.lock")]


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ('update requests set turns = \'[["What?", "Nothing."]]\'', "instruction"),
        ("update requests set state = 'pending'", "instruction"),
        ("update requests set price_usd = price_usd + 1", "price"),
        ("update attempts set price_usd = price_usd + 1", "price"),
        ("delete from requests", "instruction"),
    ],
)
def test_a_changed_ledger_is_found(project: Path, second: CurationOutcome, change: str, check: str) -> None:
    sample = trace_model("2").samples[0]
    ledger = project / ".presel/ledger.sqlite"
    before = _dump(ledger)
    with sqlite3.connect(ledger) as connection:
        connection.execute(f"{change} where request_id = '{sample.author.request_id}'")
    connection.close()
    try:
        found = verify_run("2").mismatches
        assert {mismatch.check for mismatch in found} == {check}
        assert any(sample.author.request_id[:12] in mismatch.name for mismatch in found)
    finally:
        _restore(ledger, before)
    assert mismatches("2") == []


def _dump(ledger: Path) -> list[tuple[str, list[tuple[object, ...]]]]:
    with sqlite3.connect(ledger) as connection:
        return [(name, connection.execute(f"select * from {name}").fetchall()) for name in ("requests", "attempts")]


def _restore(ledger: Path, tables: list[tuple[str, list[tuple[object, ...]]]]) -> None:
    with sqlite3.connect(ledger) as connection:
        for name, rows in tables:
            connection.execute(f"delete from {name}")
            connection.executemany(f"insert into {name} values ({','.join('?' * len(rows[0]))})", rows)
    connection.close()


def test_money_that_mlflow_does_not_know_of_is_found(project: Path, first: CurationOutcome) -> None:
    client = tracking_client()
    told = client.get_run(first.mlflow_run_id).data.tags["presel.cost_usd"]
    client.set_tag(first.mlflow_run_id, "presel.cost_usd", "0.01")
    assert mismatches(first.mlflow_run_id) == [("price", "ledger, what the run spent")]
    client.set_tag(first.mlflow_run_id, "presel.cost_usd", told)
    assert mismatches(first.mlflow_run_id) == []


def test_a_model_that_is_not_better_waits_until_it_is_forced(project: Path, second: CurationOutcome) -> None:
    assert find_version("challenger").version == "2"
    before = champion_of("small")
    assert before is not None
    other = "1" if before.version == "2" else "2"  # which of the two is better is the tune's business
    done = presel("promote", other)
    assert (done.code, "was not promoted" in done.output) == (1, True)
    assert "not promoted:" in find_version(other).tags["presel.promotion"]
    assert presel("promote", other, "--force").code == 2, "a reason is asked for"

    done = presel("promote", other, "--force", "--reason", "the customer asked for it")
    assert done.code == 0, done.output
    champion = champion_of("small")
    assert champion is not None
    assert champion.version == other
    assert "forced: the customer asked for it (the gate: " in champion.tags["presel.promotion"]
    assert find_version(before.version).tags["presel.promotion.replaced_by"] == other
    decisions = tracking_client().list_artifacts(champion.run_id, "promotion")
    assert len(decisions) == 3, "the run's, the refused one, the forced one: none overwrites another"
    last = Path(tracking_client().download_artifacts(champion.run_id, max(one.path for one in decisions)))
    record = json.loads(last.read_text(encoding="utf-8"))
    assert (record["outcome"], record["promoted"], record["champion"]) == ("forced", True, before.version)
    assert record["by"].startswith("presel promote, ")
    assert len(record["sets"]) == 2
    assert "forced: the customer asked for it" in presel("lineage", "champion").output


@pytest.mark.soak
def test_collecting_leaves_every_registered_model_whole(project: Path, second: CurationOutcome) -> None:
    gone, kept = (run(project, register=False, report={"grid_images": images}) for images in (3, 4))
    ledger = _dump(project / ".presel/ledger.sqlite")
    change_parameters(project, retention={"days": 90.0, "runs": 1})
    assert "nothing to delete" in presel("gc").output, "everything is young"
    change_parameters(project, retention={"days": 0.0, "runs": 1})
    objects = set((project / ".dvc/cache/files").rglob("*"))
    planned = presel("gc")
    assert planned.code == 0, planned.output
    assert "would be freed" in planned.output
    assert set((project / ".dvc/cache/files").rglob("*")) == objects, "without --delete nothing happens"

    awkward = project / "runs/project"  # a name that the project's own workspace goes by in messages
    awkward.mkdir(parents=True)
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(project / name, awkward)
    done = presel("gc", "--delete")
    shutil.rmtree(awkward)
    assert done.code == 0, done.output
    assert "freed" in done.output
    ids = {run.info.run_id for run in _runs()}
    assert gone.mlflow_run_id not in ids
    assert {kept.mlflow_run_id, second.mlflow_run_id, find_version("1").run_id} <= ids
    removed = {path for path in objects if path.is_file() or not path.exists()} - set(
        (project / ".dvc/cache/files").rglob("*")
    )
    assert any(path.name.endswith(".dir") for path in removed), "the report of the run that went"
    for version in ("1", "2"):
        assert presel("lineage", version).code == 0
        assert mismatches(version) == []
    assert mismatches(kept.mlflow_run_id) == []
    assert _dump(project / ".presel/ledger.sqlite") == ledger
    assert "nothing to delete" in presel("gc").output


def _runs() -> list:  # type: ignore[type-arg]  # of mlflow.entities.Run, which is slow to import
    from tasks.platform.run_archive import curation_runs

    return curation_runs()


@pytest.mark.soak
def test_the_selection_is_made_again_bit_for_bit(
    project: Path, first: CurationOutcome, second: CurationOutcome, tmp_path: Path
) -> None:
    done = presel("reproduce", "1", "--into", str(tmp_path / "again"))
    assert done.code == 0, done.output
    outcome = dict(line.split()[:2] for line in done.output.splitlines() if len(line.split()) == 3)
    assert outcome == {
        "ingest": "restored",
        "embed": "restored",
        "instruct_reference": "restored",
        **dict.fromkeys(("reference", "reference_tune", "score", "cluster", "allocate", "select"), "equal"),
    }
    made = tmp_path / "again/data/selection/selection.parquet"
    assert made.read_bytes() == (project / "data/selection/selection.parquet").read_bytes()
    refused = presel("reproduce", "1", "--into", str(tmp_path / "again"))
    assert (refused.code, "exists already" in refused.stderr) == (2, True)


def test_another_machine_and_unrecorded_code_are_refused(
    project: Path, first: CurationOutcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from components.lineage.machine import this_machine

    other = replace(this_machine(), cpu="another CPU")
    monkeypatch.setattr("flows.reproduce.this_machine", lambda: other)
    refused = presel("reproduce", "1", "--into", str(tmp_path / "x"))
    assert "another CPU now" in refused.stderr
    monkeypatch.undo()
    client = tracking_client()
    client.set_tag(first.mlflow_run_id, "presel.code_diff_sha256", "0" * 64)
    refused = presel("reproduce", "1", "--into", str(tmp_path / "x"))
    client.set_tag(first.mlflow_run_id, "presel.code_diff_sha256", "")
    assert "neither committed nor recorded" in refused.stderr
    assert not (tmp_path / "x").exists()
