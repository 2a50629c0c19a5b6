"""Takes what a model thinks before it answers off a response, where the server has left it in."""

import re

# Names of tags as models write them: DeepSeek, Qwen, GLM; Seed; LongCat; and what smaller ones were tuned with.
_NAMES = (
    r"(?:seed:|longcat_|mm:|antml:)?(?:think|thinking|thoughts?|think(?:ing)?_process|thought[_-]?process|reason|"
    r"reasoning|reasoning[_-]?process|rationale|reflection|scratchpad|analysis|cot|chain[_-]of[_-]thought|"
    r"inner[_-]?(?:thoughts?|monologue)|deliberation)"
)
# Mistral; Kimi; Open Thoughts; Cohere; MedGemma; Gemma 4; gpt-oss.
_OPENS = re.compile(
    rf"<{_NAMES}(?:\s[^<>]*)?>|\[THINK\]|\u25c1think\u25b7|<\|begin_of_thought\|>|<\|START_THINKING\|>|<\|thinking\|>|"
    r"<unused94>|<\|channel>thought|(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)<\|message\|>",
    re.IGNORECASE,
)
_CLOSES = re.compile(
    rf"</{_NAMES}\s*>|\[/THINK\]|\u25c1/think\u25b7|<\|end_of_thought\|>|<\|END_THINKING\|>|<\|/thinking\|>|"
    r"<unused95>|<channel\|>|<\|end\|>(?=\s*<\|start\|>assistant)",
    re.IGNORECASE,
)
# Of these the beginning may stand in the chat template; others, and one within a line, may be what an image shows.
_CLOSES_ALONE = re.compile(
    r"</(?:seed:|longcat_|mm:)?(?:think|thinking|thought)\s*>(?=[ \t]*(?:\n|$))|"
    r"\[/THINK\]|\u25c1/think\u25b7|<\|end_of_thought\|>|<\|END_THINKING\|>|<unused95>|<channel\|>|<\|end\|>(?=\s*<\|start\|>assistant)",
    re.IGNORECASE,
)
# Around the answer itself: the begin of gpt-oss's, and pairs of GLM, Cohere and others.
_BEGINS = re.compile(r"^\s*(?:<\|start\|>assistant)?<\|channel\|>final<\|message\|>", re.IGNORECASE)
_WRAPPED = re.compile(
    r"^\s*(?:<(answer|response|output|final)>(?P<tag>.*)</\1>|<\|begin_of_box\|>(?P<box>.*)<\|end_of_box\|>|"
    r"<\|begin_of_solution\|>(?P<solution>.*)<\|end_of_solution\|>|<\|START_RESPONSE\|>(?P<cohere>.*)<\|END_RESPONSE\|>)\s*$",
    re.IGNORECASE | re.DOTALL,
)
_ENDS = re.compile(
    r"(?:\s*(?:<\|(?:im_end|endoftext|eot_id|eom_id|end|return|end_of_text|eos)\|>|<end_of_turn>|<eos>|</s>))+\s*$"
)
# Tokens with which a chat is held together; in a text they show that something was cut in the wrong place. HTML has
# none of these names; what an image shows is mostly not written like them, and is asked for once more where it is.
_CONTROL = re.compile(
    r"<\|[A-Za-z0-9_/]{1,40}\|>|<\uff5c[^<>]{1,40}\uff5c>|</?(?:start|end)_of_(?:turn|text|image)>|"
    r"<(?:eos|bos|pad|unk|sop|eop|eod|eot|eom|IMG_CONTEXT|image_soft_token|unused\d+|extra_id_\d+)>|"
    r"\[/?INST\]|<</?SYS>>|\[(?:IMG_BREAK|IMG_END|gMASK|TOOL_CALLS|AVAILABLE_TOOLS|/?SYSTEM_PROMPT)\]|"
    r"</?(?:tool_call|tool_calls|tool_response|function_call)>|<\|?im_(?:start|end)\|?>?"
)
# The end of a sequence, which is an end of struck-out text where that begins.
_STRUCK = re.compile(r"<s>.*?</s>", re.IGNORECASE | re.DOTALL)
# Around an answer, where it is not the whole of the response: half of a pair, or a pair with something beside it. Names
# that HTML has too count at the ends of a text alone.
_ANSWER_TAGS = re.compile(
    r"</?(?:answer|final_answer|final|conclusion)\s*>|^\s*<(?:response|output|solution|result|summary|caption)>|"
    r"</(?:response|output|solution|result|summary|caption)>\s*$|&lt;/?think(?:ing)?&gt;",
    re.IGNORECASE,
)
# Tokens that are left out of a text, but for what stood between them: names of gpt-oss's channels, run into what they
# head; names of speakers, as chat templates and records write them.
_HEADS = re.compile(
    r"assistant(?:final|analysis|commentary)(?=\W|[A-Z])|\A\s*(?:analysis|commentary|final)(?=[A-Z])|"
    r"\A\s*(?:assistant|user|system|model)[ \t]*\n|^assistant[ \t]*$|^ASSISTANT:|"
    r"^[ \t]*#{2,} ?(?:Human|User|Assistant|Instruction|Response|Input) ?:[ \t]*$|\A\s*(?:Thinking|Thought) Process:",
    re.MULTILINE,
)


class UnendedThinkingError(ValueError):
    """A response begins with thoughts that do not end."""


def without_thinking(text: str) -> str:
    """Take thoughts off the beginning of a response, and what chat templates put around an answer.

    Where the template itself has begun the thoughts, the response holds their end alone.

    Args:
        text: as it came.

    Raises:
        UnendedThinkingError: it holds no end of the thoughts that it begins with, and so no answer.
    """
    rest = text
    while True:
        if _OPENS.match(rest.lstrip()):
            ends = _CLOSES.search(rest)
            if ends is None:
                raise UnendedThinkingError(f"the response thinks and does not answer: {rest.strip()[:80]!r}")
        else:
            ends, begins = _CLOSES_ALONE.search(rest), _OPENS.search(rest)
            if ends is None or (begins is not None and begins.start() < ends.start()):
                break  # what stands in the middle of an answer `left_over` finds
        rest = rest[ends.end() :]
    rest = _ENDS.sub("", _BEGINS.sub("", rest))
    wrapped = _WRAPPED.match(rest)
    return (
        next(part for part in wrapped.group("tag", "box", "solution", "cohere") if part is not None)
        if wrapped
        else rest
    )


def left_over(text: str) -> str | None:
    """What in a text was never meant to be read: a mark of thoughts or of the chat's template; None: nothing."""
    for marks in (_OPENS, _CLOSES, _CONTROL, _ANSWER_TAGS, _HEADS):
        if found := marks.search(text):
            return found[0].strip()
    return "</s>" if "</s>" in _STRUCK.sub("", text) else None
