"""A clock that jumps: nothing waits, gives up or chooses by the time of day."""

import ast
from pathlib import Path

import httpx2
import openai
import pytest

from components.instructions.endpoint.reply_reader import _retry_after
from tests.imports_of import ROOT, python_files

WALL_CLOCKS = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}
# Who may read the time of day: all of them write it down for a person, or name something with it.
ALLOWED = {
    "components/instructions/ledger/ledger.py": "when an attempt was made; spending and claims do not look at it",
    "components/models/training/group_member.py": "which of several failures is shown; they are on several machines",
    "flows/comparison.py": "when the page was written",
    "tasks/platform/promotion.py": "when a decision was made",
    "tasks/report_inputs.py": "when the page was written",
    "tasks/bodies/report_inputs.py": "when the page was written",
    "tasks/platform/journal.py": "when a number was measured; the order is that of the journal",
}
# Ages decide in the garbage collection; it is dry unless told, and what is needed stays at any age.
AGES = ("flows/gc", "tasks/platform/collect", "components/lineage/retention")


def reads_the_time_of_day(path: Path) -> bool:
    calls = (node.func for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))) if isinstance(node, ast.Call))
    attributes = (call for call in calls if isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name))
    return any((one.value.id, one.attr) in WALL_CLOCKS for one in attributes if isinstance(one.value, ast.Name))


def test_only_records_hold_the_time_of_day() -> None:
    """Waiting, giving up, committing and progress are measured with the monotonic clock, which never jumps."""
    found = {
        str(path)
        for package in ("components", "tasks", "flows")
        for path in python_files(package)
        if reads_the_time_of_day(path) and not str(path).startswith(AGES)
    }
    assert found <= set(ALLOWED), "use time.monotonic(), or say here why the time of day decides nothing"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "1500"}, 1.5),
        # The endpoint's clock is years from this machine's.
        ({"date": "Fri, 01 Jan 2010 00:00:00 GMT", "retry-after": "Fri, 01 Jan 2010 00:00:30 GMT"}, 30.0),
        ({"date": "Thu, 01 Jan 2099 00:00:00 GMT", "retry-after": "Thu, 01 Jan 2099 00:00:30 GMT"}, 30.0),
        ({"date": "Fri, 01 Jan 2010 00:00:30 GMT", "retry-after": "Fri, 01 Jan 2010 00:00:00 GMT"}, 0.0),
        ({"retry-after": "Thu, 01 Jan 2099 00:00:30 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_how_long_an_endpoint_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    response = httpx2.Response(429, headers=headers, request=httpx2.Request("POST", "http://127.0.0.1:9/"))
    assert _retry_after(openai.APIStatusError("slow down", response=response, body=None)) == seconds
