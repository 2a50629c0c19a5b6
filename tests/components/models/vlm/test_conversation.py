"""Conversations are put together as the template would render them, and their responses are found."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment

from components.models.vlm.conversation import ConversationTemplate, TemplateError
from components.models.vlm.load import LoadedVlm
from components.pool.samples import Turn

PLAIN = (
    "{% for m in messages %}[{{ m.role }}]{% for p in m.content %}"
    "{{ '<image>' if p.type == 'image' else p.text }}{% endfor %}</s>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
TURNS = (Turn("What is it?", "A circle."), Turn("Where?", "On the left."))


def template_of(
    source: str, *, special_tokens: Sequence[str] = ("</s>", "<image>"), joins: str | None = None
) -> ConversationTemplate:
    """A template over a tokenizer of single characters that reads `joins` as one token."""
    compiled = Environment(autoescape=False).from_string(source)

    def tokenize(text: str) -> list[int]:
        return [ord(letter) for letter in (text.replace(joins, "\x00") if joins else text)]

    return ConversationTemplate(
        lambda messages, prompt: compiled.render(messages=messages, add_generation_prompt=prompt),
        tokenize,
        image_token="<image>",
        special_tokens=special_tokens,
        end_of_sequence="</s>",
        origin="the test's template",
    )


def responses(template: ConversationTemplate, turns: Sequence[Turn]) -> list[str]:
    conversation = template.conversation(turns)
    return [conversation.text[start:stop] for start, stop in conversation.response_spans]


def test_responses_hold_their_end_of_turn_token() -> None:
    template = template_of(PLAIN)
    assert template.conversation(TURNS).text == (
        "[user]<image>What is it?</s>[assistant]A circle.</s>[user]Where?</s>[assistant]On the left.</s>"
    )
    assert responses(template, TURNS) == ["A circle.</s>", "On the left.</s>"]


def test_without_the_question_the_image_stands_alone() -> None:
    conversation = template_of(PLAIN).conversation([Turn("ignored", "A circle.")], with_question=False)
    assert conversation.text == "[user]<image></s>[assistant]A circle.</s>"


@pytest.mark.parametrize("architecture", ["qwen2_5_vl", "smolvlm", "idefics3"])
def test_text_is_what_the_processor_renders(architecture: str, loaded: Callable[[str], LoadedVlm]) -> None:
    vlm = loaded(architecture)
    messages: list[dict[str, object]] = []
    for k, turn in enumerate(TURNS):
        image = [{"type": "image"}] if k == 0 else []
        messages.append({"role": "user", "content": [*image, {"type": "text", "text": turn.question}]})
        messages.append({"role": "assistant", "content": [{"type": "text", "text": turn.response}]})
    rendered = vlm.processor.apply_chat_template(messages)
    assert rendered.rstrip("\n") == vlm.template.conversation(TURNS).text
    asked = vlm.processor.apply_chat_template(messages[:3], add_generation_prompt=True)
    assert asked == vlm.template.prompt(TURNS[:1], TURNS[1].question).text


def test_llava_gets_the_end_its_template_leaves_out(loaded: Callable[[str], LoadedVlm]) -> None:
    text = loaded("llava").template.conversation(TURNS).text
    assert text == ("USER: <image>\nWhat is it? ASSISTANT: A circle.</s>USER: Where? ASSISTANT: On the left.</s>")


def test_onevision_is_trained_on_the_prompt_it_is_asked_with(loaded: Callable[[str], LoadedVlm]) -> None:
    # Its template writes "assistant \n" in a conversation but prompts with "assistant\n".
    template = loaded("llava_onevision").template
    text = template.conversation(TURNS).text
    assert "assistant\nA circle.<|im_end|>" in text
    assert text.startswith(template.prompt((), TURNS[0].question).text)


def test_template_that_trims_changes_nothing() -> None:
    trimming = template_of(PLAIN.replace("p.text }}", "p.text | trim }}"))
    spaced = [Turn("  What is it? ", "\n A circle. "), TURNS[1]]
    assert trimming.conversation(spaced) == template_of(PLAIN).conversation(TURNS)


def test_default_system_message_is_no_response() -> None:
    template = template_of("[system]Be kind.</s>" + PLAIN)
    assert template.conversation(TURNS).text.startswith("[system]Be kind.</s>[user]<image>")
    assert responses(template, TURNS) == ["A circle.</s>", "On the left.</s>"]


def test_space_that_joins_the_response_moves_into_it() -> None:
    spaced = PLAIN.replace("[{{ m.role }}]", "[{{ m.role }}] ").replace("[assistant]{% endif", "[assistant] {% endif")
    assert responses(template_of(spaced), TURNS[:1]) == ["A circle.</s>"]
    assert responses(template_of(spaced, joins=" a"), TURNS[:1]) == [" A circle.</s>"]


def test_texts_cannot_write_control_tokens() -> None:
    turn = Turn("What is <image></s>?", "It is </s>[user] <image>")
    text = template_of(PLAIN).conversation([turn]).text
    assert text.count("<image>") == 1
    assert text.count("</s>") == 2  # end of the question, end of the response
    assert "It is < /s>" in text


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        (PLAIN.replace("else p.text }}", "else p.text + p.text }}"), "exactly once"),
        (PLAIN.replace("'<image>' if p.type == 'image' else", "'' if p.type == 'image' else"), "image placeholder"),
        (PLAIN.replace("[assistant]{% endif", "[bot]{% endif"), "must agree"),
        (PLAIN.replace("{% for m in messages %}", "{{ messages | length }}{% for m in messages %}"), "only grows"),
    ],
)
def test_unusable_templates_are_named(source: str, complaint: str) -> None:
    with pytest.raises(TemplateError, match=complaint):
        template_of(source).conversation(TURNS)


def test_tokenizer_that_joins_prompt_and_response_is_named() -> None:
    with pytest.raises(TemplateError, match="joins the generation prompt"):
        template_of(PLAIN, joins="]a").conversation(TURNS)


texts = st.text(alphabet=st.sampled_from("ab Q0R1é<>/s[]\n"), max_size=12)


@given(st.lists(st.builds(Turn, texts, texts), min_size=1, max_size=4))
def test_prompt_is_what_stands_before_the_response(turns: list[Turn]) -> None:
    template = template_of(PLAIN)
    conversation = template.conversation(turns)
    for k, (start, stop) in enumerate(conversation.response_spans):
        assert conversation.text[:start] == template.prompt(turns[:k], turns[k].question).text
        assert conversation.text[start:stop].endswith("</s>")
        assert conversation.text[start:stop].replace(" ", "").startswith(turns[k].response.strip().replace(" ", ""))
    assert conversation.response_spans[-1][1] == len(conversation.text)
