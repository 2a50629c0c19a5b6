"""`presel verify`: every artifact of a run hashed again, and every record held against the others."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from rich.console import Console

from components import schemas
from components.instructions.ledger.ledger import open_ledger
from components.lineage.check_artifacts import Mismatch, check_chain, check_stored, check_workspace_folder
from components.lineage.check_instructions import check_attempts, check_ledger, check_price, check_training_set
from components.lineage.ledger_history import request_histories, spent_until
from components.lineage.lock_file import LockedPath, parse_lock, written_path
from components.lineage.objects import FindObject, ListedFile, artifact_file
from components.storage import read_table
from tasks.platform.dvc_objects import open_objects
from tasks.platform.run_archive import RunArchive, find_run
from tasks.platform.run_checks import check_model, check_record, stage_costs
from tasks.platform.tag_names import COST_TAG
from tasks.platform.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Verification:
    """What verifying a run came to.

    Attributes:
        run_id: in MLflow.
        model_version: that its adapter is registered as; empty without one.
        artifacts: versions of artifacts that were hashed.
        files: files that were hashed in the store.
        in_workspace: artifacts that the workspace still holds at this version; they were hashed there too.
        instructions: that were looked up in the ledger.
        mismatches: what is wrong.
    """

    run_id: str
    model_version: str
    artifacts: int
    files: int
    in_workspace: int
    instructions: int
    mismatches: tuple[Mismatch, ...]


@dataclass(frozen=True, slots=True)
class _Bought:
    """One artifact of instructions: the stage that wrote it, its path, what it holds."""

    stage: str
    path: str
    instructions: pa.Table
    attempts: pa.Table


def verify_run(name: str | None) -> Verification:
    """Check a run.

    Args:
        name: as `find_run` takes it; None: the newest finished run.

    Raises:
        LineageError: no such run.
        LedgerError: its ledger cannot be opened.
    """
    archive = find_run(name)
    outputs = [output for stage in archive.stages for output in stage.writes]
    held = _held_by_workspace(archive)
    wrong = check_record(archive)
    listings: dict[str, tuple[ListedFile, ...]] = {}
    with open_objects(check=False) as find:
        for output in outputs:
            listing, damaged = check_stored(output, find)
            wrong += damaged
            if listing:
                listings[output.path] = listing
            if output in held:
                wrong += check_workspace_folder(output, listing, Path(archive.workspace) / output.path)
        wrong += check_chain(archive.stages, listings)
        looked_up = 0
        if not any(mismatch.check == "stored artifact" for mismatch in wrong):
            looked_up, problems = _check_instructions(archive, find)
            wrong += problems
    if archive.model_version and "data/model" in listings:
        wrong += check_model(archive, written_path(archive.stages, "data/model"), listings["data/model"])
    return Verification(
        run_id=archive.run_id,
        model_version=archive.model_version,
        artifacts=len(outputs),
        files=sum(map(len, listings.values())),
        in_workspace=len(held),
        instructions=looked_up,
        mismatches=tuple(wrong),
    )


def show_verification(verification: Verification) -> None:
    """Print what was checked and each mismatch."""
    console = Console(highlight=False, soft_wrap=True)
    model = f", model {verification.model_version}" if verification.model_version else ", no registered model"
    console.print(
        f"run {verification.run_id}: {verification.artifacts} artifacts of {verification.files} files hashed "
        f"({verification.in_workspace} in the workspace too), {verification.instructions:,} instructions looked up in "
        f"the ledger{model}",
        markup=False,
    )
    for mismatch in verification.mismatches:
        console.print(f"MISMATCH {mismatch.check}: {mismatch.name}", markup=False, style="bold")
        console.print(f"  expected {mismatch.expected}\n  found    {mismatch.found}", markup=False)
    count = len(verification.mismatches)
    console.print(f"{count} mismatches" if count else "everything is as it was recorded", markup=False)


def _held_by_workspace(archive: RunArchive) -> frozenset[LockedPath]:
    """Outputs of the run that its workspace, by its own dvc.lock, still holds at the same version."""
    lock = Workspace(archive.workspace).lock_file
    if not lock.is_file():
        return frozenset()
    now = {output for stage in parse_lock(lock.read_text(encoding="utf-8")) for output in stage.writes}
    return frozenset(output for stage in archive.stages for output in stage.writes) & now


def _check_instructions(archive: RunArchive, find: FindObject) -> tuple[int, list[Mismatch]]:
    parts = _bought(archive, find)
    training_set = read_table(
        artifact_file(written_path(archive.stages, "data/training_set"), "samples.parquet", find),
        schemas.TRAINING_SAMPLES,
    )
    by_origin = {part.path.removeprefix("data/instructions/"): part.instructions for part in parts}
    wrong = check_training_set(training_set, by_origin)
    ids = [one for part in parts for one in part.instructions["request_id"].to_pylist()]
    with open_ledger(archive.ledger, make=False) as ledger:
        wrong += check_ledger([part.instructions for part in parts], request_histories(ledger, ids))
        if archive.ended_ms is not None and COST_TAG in archive.tags:
            ended = datetime.fromtimestamp(archive.ended_ms / 1000, UTC).isoformat(timespec="milliseconds")
            booked = spent_until(ledger, run=archive.ledger_label, until=ended)
            wrong += check_price("ledger, what the run spent", float(archive.tags[COST_TAG]), booked)
    costs = stage_costs(archive)
    for part in parts:
        wrong += check_attempts(part.path, part.instructions, part.attempts)
        wrong += _check_stage_cost(part, costs)
    return len(ids), wrong


def _check_stage_cost(part: _Bought, costs: Mapping[str, float]) -> list[Mismatch]:
    """A stage that was found in the cache said nothing of costs in this run."""
    if part.stage not in costs:
        return []
    spent = sum(part.attempts["price_usd"].to_pylist())
    return check_price(f"MLflow, cost_usd of {part.stage}", spent, costs[part.stage])


def _bought(archive: RunArchive, find: FindObject) -> tuple[_Bought, ...]:
    return tuple(
        _Bought(
            stage.name,
            output.path,
            read_table(artifact_file(output, "instructions.parquet", find), schemas.INSTRUCTIONS),
            read_table(artifact_file(output, "attempts.parquet", find), schemas.ATTEMPT_ROWS),
        )
        for stage in archive.stages
        for output in stage.writes
        if output.path.startswith("data/instructions/")
    )
