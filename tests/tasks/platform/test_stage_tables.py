from pathlib import Path

import pyarrow as pa

from components.schemas import DROPPED, IMPORTANCE, METRICS, QUARANTINE, SAMPLES
from components.storage import write_table
from tasks.ingest import ingest
from tasks.platform.stage_tables import benchmark_tables, markdown_page, stage_tables
from tasks.strategies.presel.score import score


def table(schema: pa.Schema, *rows: tuple[object, ...]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)


def test_ingest_counts_samples_and_quarantine_reasons(tmp_path: Path):
    samples: list[tuple[object, ...]] = [
        (f"t/{i}", task, "sha", "uri", "pool.json", [], "") for i, task in enumerate(["ocr", "vqa", "vqa"])
    ]
    write_table(tmp_path / "samples.parquet", table(SAMPLES, *samples))
    quarantined = [("pool.json", str(i), "a.png", reason, "") for i, reason in enumerate(["truncated"] * 2 + ["bomb"])]
    write_table(tmp_path / "quarantine.parquet", table(QUARANTINE, *quarantined))
    per_task, reasons = stage_tables(tmp_path, ingest.declaration.tables)
    assert (per_task.name, per_task.rows) == ("samples", (("vqa", 2), ("ocr", 1)))
    assert (reasons.name, reasons.rows) == ("quarantine", (("truncated", 2), ("bomb", 1)))


def test_score_shows_importance_and_what_was_left_out(tmp_path: Path):
    write_table(tmp_path / "importance.parquet", table(IMPORTANCE, ("ocr", 5, 0.5, 0.75), ("vqa", 5, 0.9, 0.25)))
    write_table(tmp_path / "dropped.parquet", table(DROPPED, ("ocr/1", "truncated", "too long")))
    importance, dropped = stage_tables(tmp_path, score.declaration.tables)
    assert importance.rows == (("ocr", 5, 0.5, 0.75), ("vqa", 5, 0.9, 0.25))
    assert dropped.rows == (("truncated", 1),)


def test_a_benchmark_is_shown_of_100(tmp_path: Path):
    write_table(tmp_path / "metrics.parquet", table(METRICS, ("set", "exact_match", 0.5, 10, 2)))
    (benchmark,) = stage_tables(tmp_path, benchmark_tables)
    assert benchmark.rows == (("set", "exact_match", 50.0, 10, 2),)


def test_a_stage_without_tables_has_none(tmp_path: Path):
    assert stage_tables(tmp_path, None) == ()


def test_text_from_data_is_shown_and_not_obeyed(tmp_path: Path):
    evil = "<img src=x onerror=alert(1)> | [link](javascript:x)\n# heading"
    write_table(tmp_path / "importance.parquet", table(IMPORTANCE, (evil, 1, 0.5, 1.0)))
    page = markdown_page("score", "1 sample `scored`", stage_tables(tmp_path, score.declaration.tables))
    (row,) = [line for line in page.splitlines() if "onerror" in line]
    assert row == r"| \<img src=x onerror=alert\(1\)\> \| \[link\]\(javascript:x\) \# heading | 1 | 0.5 | 1 |"
    assert r"\`scored\`" in page
