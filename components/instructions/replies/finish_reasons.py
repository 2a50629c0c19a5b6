"""What it means that a model stopped: the one table of what providers send."""

from typing import Literal

from components.instructions.reply import Reply, SendFailure

# finished: the answer is whole.
# cut_off:  it ends early because a limit was reached; the model can be asked to write less.
# refused:  the model, or a filter around it, does not want to.
# failed:   something broke on the way; what came is no answer, and asking again may bring one.
Finish = Literal["finished", "cut_off", "refused", "failed"]

_REASONS: dict[Finish, str] = {
    # OpenAI and most; Anthropic, xAI; TGI, watsonx; Together; Cohere; LM Studio.
    "finished": "stop end_turn stop_sequence eos_token eos complete completed eosfound stopstringfound",
    # OpenAI; Anthropic, Gemini, Cohere; Mistral; Zhipu, Anthropic; LM Studio; watsonx.
    "cut_off": "length max_tokens max_output_tokens model_length model_context_window_exceeded token_limit "
    "maxpredictedtokensreached contextlengthreached truncated",
    # OpenAI, Azure; Bedrock; Anthropic; Zhipu; Cohere; Gemini; Alibaba.
    "refused": "content_filter content_filtered guardrail_intervened refusal sensitive error_toxic safety recitation "
    "blocklist prohibited_content spii image_safety image_prohibited_content image_recitation jailbreak model_armor "
    "language data_inspection_failed moderation",
    # OpenRouter, Cohere; Zhipu; vLLM, SGLang; DeepSeek; Gemini; Ollama; LM Studio; tools that nobody has offered.
    "failed": "error error_limit network_error abort aborted cancelled canceled user_cancel timeout time_limit "
    "insufficient_system_resource other malformed_function_call malformed_response unexpected_tool_call no_image "
    "image_other load unload failed modelunloaded userstopped repetition pause_turn incomplete not_finished "
    "tool_calls tool_use tool_call toolcalls function_call",
}
_MEANING: dict[str, Finish] = {name: finish for finish, names in _REASONS.items() for name in names.split()}
_WORST: tuple[Finish, ...] = ("refused", "failed", "cut_off", "finished")


def finish_of(reason: str) -> Finish:
    """What a finish reason means; one that nobody has heard of means that the answer is not known to be whole.

    Args:
        reason: as it came, in any case; Gemini's and some gateways' have a prefix or more after a colon, of which the
            worst that is known counts.
    """
    first, *more = reason.split(":")
    meanings = [_MEANING.get(_plain(first), "failed")]
    meanings += [_MEANING[_plain(part)] for part in more if _plain(part) in _MEANING]
    return min(meanings, key=_WORST.index)


def as_failure(reply: Reply | SendFailure) -> Reply | SendFailure:
    """A reply whose end says that it is no answer is a failed attempt, whoever sent it."""
    if isinstance(reply, SendFailure) or finish_of(reply.finish_reason) != "failed":
        return reply
    return SendFailure(
        "unknown",
        "unfinished",
        f"the reply ended with {reply.finish_reason!r} and is not known to be whole: {reply.text[:160]!r}",
        reply.seconds,
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
        arrived="reply",
    )


def decisive_reason(reason: str, others: tuple[str, ...]) -> str:
    """Of all that is said about the end of an answer, what counts: the worst that is known.

    Args:
        reason: the finish reason itself.
        others: what stands beside it, such as the upstream's own reason; what is not in the table says nothing.
    """
    known = [other for other in others if _plain(other.partition(":")[0]) in _MEANING]
    return min([reason, *known], key=lambda one: _WORST.index(finish_of(one)))


def _plain(reason: str) -> str:
    name = reason.strip().lower().replace("-", "_").replace(" ", "_")
    return name.removeprefix("finishreason.").removeprefix("finish_reason_")
