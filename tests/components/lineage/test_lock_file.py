"""Reading dvc.lock."""

import pytest

from components.lineage.lock_file import (
    LineageError,
    LockedPath,
    ancestors,
    earlier_artifacts,
    parse_lock,
    producer,
    written_path,
)

LOCK = """
schema: '2.0'
stages:
  ingest:
    cmd: python
    deps: [{path: code.py, hash: md5, md5: aa, size: 3}]
    outs: [{path: data/manifest, hash: md5, md5: bb.dir, size: 4, nfiles: 2}]
  buy@random:
    cmd: python
    deps: [{path: data/manifest/samples.parquet, hash: md5, md5: cc, size: 1}]
    outs: [{path: data/instructions/random, hash: md5, md5: dd.dir, size: 1}]
  cluster:
    cmd: python
    deps: [{path: data/manifest/samples.parquet, hash: md5, md5: cc, size: 1}]
    outs: [{path: data/clusters, hash: md5, md5: ee.dir, size: 1}]
  select:
    cmd: python
    deps: [{path: data/clusters, hash: md5, md5: ee.dir, size: 1}, {path: data/clusters2, hash: md5, md5: ff, size: 1}]
    outs: [{path: data/selection, hash: md5, md5: '11.dir', size: 1}]
"""


def test_stages_with_what_they_read_and_wrote() -> None:
    stages = parse_lock(LOCK)
    assert [stage.name for stage in stages] == ["ingest", "buy@random", "cluster", "select"]
    assert stages[0].reads == (LockedPath("code.py", "aa", 3),)
    assert written_path(stages, "data/selection") == LockedPath("data/selection", "11.dir", 1)
    assert producer(stages, "data/clusters").name == "cluster"


def test_ancestors_are_those_it_rests_on_in_order() -> None:
    chain = ancestors(parse_lock(LOCK), "data/selection")
    assert [stage.name for stage in chain] == ["ingest", "cluster", "select"]


def test_what_a_run_went_on_from_is_named_once() -> None:
    read = "deps: [{path: data/earlier/clusters, hash: md5, md5: 99.dir, size: 1}]"
    lock = f"schema: '2.0'\nstages:\n  a: {{{read}}}\n  b: {{{read}}}\n"
    assert earlier_artifacts(parse_lock(lock)) == (LockedPath("data/earlier/clusters", "99.dir", 1),)
    assert earlier_artifacts(parse_lock(LOCK)) == ()


def test_an_artifact_of_no_stage_is_an_error() -> None:
    for ask in (written_path, producer, ancestors):
        with pytest.raises(LineageError, match="has no data/model: the run ended before"):
            ask(parse_lock(LOCK), "data/model")


@pytest.mark.parametrize("text", ["", "a: [", "stages: 3", "stages: {a: {outs: [{path: x}]}}"])
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises(LineageError, match=r"not a dvc\.lock"):
        parse_lock(text)


@pytest.mark.parametrize(("kind", "path"), [("outs", "../data"), ("outs", "/data"), ("deps", "data/earlier/../../x")])
def test_a_path_that_leads_out_of_the_workspace_is_refused(kind: str, path: str) -> None:
    text = f"schema: '2.0'\nstages:\n  one:\n    {kind}:\n    - {{path: {path}, md5: 11.dir, size: 1}}\n"
    with pytest.raises(LineageError, match=f"stage one: the path '{path}' leads out"):
        parse_lock(text)


def test_code_is_read_from_outside_a_workspace() -> None:
    text = "schema: '2.0'\nstages:\n  one:\n    deps:\n    - {path: ../../tasks/one.py, md5: '11', size: 1}\n"
    assert parse_lock(text)[0].reads[0].path == "../../tasks/one.py"
