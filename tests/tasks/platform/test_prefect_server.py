"""A stage waits for a Prefect server that is away, and not for one that says no."""

import httpx
import pytest
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.settings import PREFECT_API_URL, temporary_settings

from tasks.platform import prefect_server
from tasks.platform.prefect_server import PrefectServerError, check_server, when_it_is_there

REQUEST = httpx.Request("POST", "http://127.0.0.1:9/")


def status(code: int) -> httpx.HTTPStatusError:
    return httpx.HTTPStatusError("", request=REQUEST, response=httpx.Response(code, request=REQUEST))


@pytest.mark.parametrize("cause", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), status(503)])
def test_it_comes_back(monkeypatch: pytest.MonkeyPatch, cause: Exception) -> None:
    monkeypatch.setattr(prefect_server, "PAUSES", (0.0, 0.0, 0.0))
    tried: list[int] = []

    def submit() -> str:
        tried.append(1)
        if len(tried) < 3:
            raise ConcurrencySlotAcquisitionError("no slot") from cause
        return "done"

    assert when_it_is_there(submit) == "done"
    assert len(tried) == 3


@pytest.mark.parametrize(("cause", "tries"), [(status(404), 1), (None, 1), (httpx.ConnectError("refused"), 3)])
def test_it_says_no_or_stays_away(monkeypatch: pytest.MonkeyPatch, cause: Exception | None, tries: int) -> None:
    monkeypatch.setattr(prefect_server, "PAUSES", (0.0, 0.0))
    tried: list[int] = []

    def submit() -> str:
        tried.append(1)
        raise ConcurrencySlotAcquisitionError("no slot") from cause

    with pytest.raises(ConcurrencySlotAcquisitionError):
        when_it_is_there(submit)
    assert len(tried) == tries


def test_what_the_task_itself_raises_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def submit() -> str:
        tried.append(1)
        raise httpx.ConnectError("of the stage's own work")

    with pytest.raises(httpx.ConnectError):
        when_it_is_there(submit)
    assert len(tried) == 1


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/api", "127.0.0.1:9/api"])
def test_the_server_that_prefect_s_settings_name_is_asked(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with temporary_settings({PREFECT_API_URL: address}), pytest.raises(PrefectServerError, match="does not answer"):
        check_server()
