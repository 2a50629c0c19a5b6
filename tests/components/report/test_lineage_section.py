"""The section that walks the model back."""

from dataclasses import replace

import pytest

from components.lineage.trace_samples import Authorship, Choice, TracedSample, group_by_author
from components.report.inputs import Version
from components.report.report import build_report
from tests.components.report.synthetic import empty_inputs
from tests.components.report.synthetic_pool import draw_image

NOTHING = float("nan")


def sample(name: str, reason: str) -> TracedSample:
    author = Authorship(
        f"request-{name}",
        "openai",
        "gpt",
        "sha256:0123456789ab",
        "2026-01-02T03:04:05",
        "2026-01-02T03:05:06",
        1,
        0.5,
        "",
    )
    return TracedSample(f"a/{name}", "a", f"{name}.png", name, 1, Choice("selection", reason, 0, NOTHING, 1, 1), author)


def page(samples: tuple[TracedSample, ...], *, shown: int) -> str:
    inputs = empty_inputs()
    lineage = replace(
        inputs.lineage,
        artifacts=(Version("pool", "e47227b4"),),
        authors=group_by_author(samples),
        samples=samples[:shown],
        all_samples=len(samples),
    )
    return build_report(replace(inputs, lineage=lineage), grid_clusters=1, grid_images=1, image_loader=draw_image)


def test_groups_and_samples_are_shown_and_escaped() -> None:
    html = page((sample("1", "rank 1 of 2"), sample("2", "<script>alert(1)</script>")), shown=2)
    assert "e47227b4" in html
    assert "rank 1 of 2" in html
    assert "&lt;script&gt;alert(1)" in html
    assert "<script>alert(1)" not in html
    assert "$1.00" in html, "both instructions together"
    assert "2026-01-02 03:04" in html
    assert "Every sample" in html


@pytest.mark.parametrize(("shown", "said"), [(1, True), (3, False)])
def test_a_long_list_says_that_it_goes_on(shown: int, said: bool) -> None:
    html = page(tuple(sample(str(number), "picked") for number in range(3)), shown=shown)
    assert ("lists all 3" in html) == said


def test_a_run_without_a_training_set_has_no_such_table() -> None:
    assert "From the model back to the pool" not in page((), shown=0)
