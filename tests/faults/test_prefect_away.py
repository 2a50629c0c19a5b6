"""The Prefect server goes down in the middle of a run and comes back: the run goes on, computing nothing twice."""

import json
import time
import urllib.request

import pytest

from tests.faults.laboratory import Laboratory, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(900)]
AWAY_SECONDS = 12.0  # several of the client's tries, and longer than the stages of the small project take


def state_of_newest_run(address: str) -> str:
    body = json.dumps({"sort": "START_TIME_DESC", "limit": 1}).encode()
    request = urllib.request.Request(f"{address}/flow_runs/filter", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)[0]["state"]["type"])


def test_the_server_is_gone_for_a_while(laboratory: Laboratory) -> None:
    here = ("run", "--name", "unwatched", "--set", "baselines=[]", "--set", "final_tune.epochs=3")
    pid = laboratory.start(*here)
    wait_until(lambda: "assemble: Finished" in laboratory.said(pid), "the run never began")
    laboratory.server.stop()
    time.sleep(AWAY_SECONDS)
    laboratory.server.start()
    done = laboratory.wait(pid)
    assert done.code == 0, done.output
    assert state_of_newest_run(laboratory.server.address) == "COMPLETED"

    again = laboratory.presel(*here)
    assert again.code == 0, again.output
    for stage in ("tune", "benchmark_tuned", "report"):
        assert f"{stage}: Finished in state Cached" in again.output, "what was computed while nobody watched is found"
