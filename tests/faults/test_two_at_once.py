"""Two runs started at once in one workspace: the second is refused at once, the first is left alone."""

import time

import pytest

from tests.faults.laboratory import Laboratory, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(600)]


def test_the_second_run_is_refused(laboratory: Laboratory) -> None:
    here = ("run", "--name", "busy", "--set", "baselines=[]", "--set", "final_tune.epochs=30")
    first = laboratory.start(*here)
    wait_until(lambda: "ingest: Finished" in laboratory.said(first), "the first run never began")

    began = time.monotonic()
    second = laboratory.presel(*here)
    assert second.code != 0
    assert "another run is working in workspace 'runs/busy'" in second.output
    assert time.monotonic() - began < 60

    # With other parameters it would have changed those of the first run under its feet.
    other = laboratory.presel(*here, "--set", "seed=99")
    assert other.code != 0
    assert "another run is working in workspace 'runs/busy'" in other.output
    parameters = (laboratory.root / "runs/busy/params.yaml").read_text(encoding="utf-8")
    assert "seed: 99" not in parameters

    done = laboratory.wait(first)
    assert done.code == 0, done.output
