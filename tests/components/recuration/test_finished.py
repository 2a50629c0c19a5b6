"""What a curation ran with is read as DVC has written it."""

from pathlib import Path

from dvc.utils.serialize import dump_yaml, load_yaml

from components.recuration.finished import FinishedCuration, read_finished, write_finished

RATES = {"learning_rate": 2e-5, "decay": [1e-7, 0.1], "name": "2e-5", "steps": 3, "more": {"epsilon": 1e-8}}


def test_numbers_however_small_and_deep_are_numbers(tmp_path: Path) -> None:
    """The full tune's usual learning rate, 2e-5, is in a section; DVC writes it without a point."""
    params = {"params.yaml": {"tuning": RATES, "seed": 17, "score.floor": 1e-6}}
    dump_yaml(tmp_path / "dvc.lock", {"schema": "2.0", "stages": {"tune": {"cmd": "x", "params": params}}})
    text = (tmp_path / "dvc.lock").read_text(encoding="utf-8")
    assert "2e-05" in text
    write_finished(tmp_path / "finished.json", FinishedCuration("run", "presel", text))
    finished = read_finished(tmp_path / "finished.json")
    assert finished is not None
    as_dvc_reads = load_yaml(tmp_path / "dvc.lock")["stages"]["tune"]["params"]["params.yaml"]
    assert finished.parameters_of("tune") == params["params.yaml"] == as_dvc_reads
    assert finished.parameters_of("none") == {}
