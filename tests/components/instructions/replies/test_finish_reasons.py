import pytest

from components.instructions.replies.finish_reasons import as_failure, decisive_reason, finish_of
from components.instructions.reply import Reply, SendFailure

# As providers send them.
FINISHED = ["stop", "STOP", "end_turn", "eos_token", "stop_sequence", "COMPLETE", "eosFound", "FinishReason.STOP"]
CUT_OFF = ["length", "max_tokens", "MAX_TOKENS", "model_length", "model_context_window_exceeded"]
REFUSED = ["content_filter", "content-filter", "SAFETY", "RECITATION", "PROHIBITED_CONTENT", "IMAGE_SAFETY", "refusal"]
REFUSED += ["sensitive", "guardrail_intervened", "content_filter: RECITATION", "BLOCKLIST", "SPII"]
FAILED = ["error", "network_error", "abort", "insufficient_system_resource", "OTHER", "tool_calls", "load", "none", ""]
FAILED += ["null", "MALFORMED_FUNCTION_CALL", "a reason of next year", "FINISH_REASON_UNSPECIFIED"]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        (reason, finish)
        for finish, reasons in {"finished": FINISHED, "cut_off": CUT_OFF, "refused": REFUSED, "failed": FAILED}.items()
        for reason in reasons
    ],
)
def test_what_a_reason_means(reason: str, finish: str) -> None:
    assert finish_of(reason) == finish


def test_the_worst_that_is_known_counts() -> None:
    assert decisive_reason("stop", ("SAFETY", "")) == "SAFETY"
    assert decisive_reason("stop", ("MAX_TOKENS",)) == "MAX_TOKENS"
    assert decisive_reason("stop", ("<|im_end|>", "end_turn")) == "stop", "a token that stopped it says nothing"
    assert decisive_reason("error", ("stop",)) == "error"


def test_a_reply_that_is_not_known_to_be_whole_is_a_failed_attempt_with_its_tokens() -> None:
    whole = Reply("A square.", "stop", "m", 10, 2)
    assert as_failure(whole) is whole
    broken = as_failure(Reply("A squ", "error", "m", 10, 2, 1.5))
    assert isinstance(broken, SendFailure)
    assert (broken.kind, broken.reason, broken.input_tokens, broken.output_tokens) == ("unknown", "unfinished", 10, 2)
    assert "A squ" in broken.detail


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("stop: length", "cut_off"),
        ("stop:max_tokens", "cut_off"),
        ("stop:content_filter", "refused"),
        ("stop:x", "finished"),
    ],
)
def test_of_several_parts_the_worst_that_is_known_counts(reason: str, meaning: str) -> None:
    assert finish_of(reason) == meaning
