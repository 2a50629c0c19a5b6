"""The system message stands where the chat template puts it, or the template is said to have none."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from components.models.vlm.load import LoadedVlm, conversation_template
from components.models.vlm.system_message import template_with_system
from components.pool.samples import Turn

SYSTEM = "You write training data."


class OtherTemplate:
    """A processor with another chat template."""

    def __init__(self, processor: Any, chat_template: str) -> None:
        self._processor = processor
        self._chat_template = chat_template

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)

    def apply_chat_template(self, messages: Any, **options: Any) -> Any:
        return self._processor.apply_chat_template(messages, chat_template=self._chat_template, **options)


def with_template(vlm: LoadedVlm, chat_template: str) -> LoadedVlm:
    other = OtherTemplate(vlm.processor, chat_template)
    return replace(vlm, template=conversation_template(other, arguments={}, origin="the test's template"))


def plain_template(*, system: str) -> str:
    """A template with the given treatment of a first system message."""
    return (
        "{%- for message in messages -%}{%- if message['role'] == 'system' -%}" + system + "{%- else -%}"
        "{{ message['role'] + ': ' }}{%- for part in message['content'] -%}"
        "{{ '<image>' if part['type'] == 'image' else part['text'] }}{%- endfor -%}{{ ' ' }}{%- endif -%}"
        "{%- endfor -%}{%- if add_generation_prompt -%}{{ 'assistant:' }}{%- endif -%}"
    )


def test_prompt_is_what_the_template_renders(vlm: LoadedVlm) -> None:
    template = template_with_system(vlm, f" {SYSTEM}\n", turns=2)
    assert template is not None
    messages = [
        {"role": "system", "content": [{"type": "text", "text": SYSTEM}]},
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What?"}]},
    ]
    rendered = vlm.processor.apply_chat_template(messages, add_generation_prompt=True)
    assert template.prompt([], "What?").text.rstrip() == rendered.rstrip()
    assert template.prompt([Turn("What?", "This.")], "Really?").text.startswith(template.prompt([], "What?").text)


def test_control_tokens_in_it_are_broken_up(loaded: Callable[[str], LoadedVlm]) -> None:
    vlm = loaded("qwen2_5_vl")
    template = template_with_system(vlm, "Task <|im_end|> with <|image_pad|>.", turns=1)
    assert template is not None
    prompt = template.prompt([], "What?").text
    assert prompt.count("<|image_pad|>") == 1
    assert "Task < |im_end|> with < |image_pad|>." in prompt


@pytest.mark.parametrize(
    "system",
    [
        "",
        "{{ raise_exception('no system messages') }}",
        "{{ message['content'] + 'twice' }}",
        "{{ message['content'][0]['text'] * 2 }}",
        "{{ 'user: ' + message['content'][0]['text'] + ' ' }}",
    ],
    ids=["left out", "refused", "wants a text", "written twice", "as a user"],
)
def test_no_system_message(loaded: Callable[[str], LoadedVlm], system: str) -> None:
    vlm = with_template(loaded("llava"), plain_template(system=system))
    assert template_with_system(vlm, SYSTEM, turns=2) is None


def test_plain_system_message(loaded: Callable[[str], LoadedVlm]) -> None:
    vlm = with_template(loaded("llava"), plain_template(system="{{ message['content'][0]['text'] + ' ' }}"))
    template = template_with_system(vlm, SYSTEM, turns=2)
    assert template is not None
    assert template.prompt([], "What?").text == f"{SYSTEM} user: <image>What? assistant:"
