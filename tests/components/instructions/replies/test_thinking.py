import pytest

from components.instructions.replies.thinking import UnendedThinkingError, left_over, without_thinking

THOUGHTS = {
    "DeepSeek, Qwen": "<think>\nhm, a square\n</think>\n\n",
    "begun by the template": "hm, a square\n</think>\n\n",
    "empty": "<think>\n\n</think>\n\n",
    "two": "<think>hm</think><think>still</think>",
    "Seed": "<seed:think>hm</seed:think>",
    "Magistral": "[THINK]hm[/THINK]",
    "Kimi": "\u25c1think\u25b7hm\u25c1/think\u25b7",
    "Open Thoughts": "<|begin_of_thought|>hm<|end_of_thought|>",
    "Cohere": "<|START_THINKING|>hm<|END_THINKING|>",
    "MedGemma": "<unused94>thought\nhm<unused95>",
    "Gemma 4": "<|channel>thought\nhm<channel|>",
    "gpt-oss": "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>",
    "gpt-oss, begun by the template": "hm<|end|><|start|>assistant<|channel|>final<|message|>",
    "others": "<thinking>hm</thinking>",
    "in capitals, with an attribute": '<Reasoning effort="high">hm</Reasoning>',
}


@pytest.mark.parametrize("name", sorted(THOUGHTS))
def test_thoughts_before_an_answer_are_taken_off(name: str) -> None:
    assert without_thinking(THOUGHTS[name] + "A red square.").strip() == "A red square."
    assert without_thinking(" \n" + THOUGHTS[name] + '{"turns": []}').strip() == '{"turns": []}'


@pytest.mark.parametrize(
    "text",
    [
        "<answer>A red square.</answer>",
        "<think>hm</think>\n<answer>\nA red square.\n</answer>",
        "<|begin_of_box|>A red square.<|end_of_box|>",
        "<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>A red square.<|END_RESPONSE|>",
        "A red square.<|im_end|>",
        "A red square.<|end|>",
        "A red square.</s>\n",
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>A red square.<|return|>",
    ],
)
def test_what_a_template_puts_around_an_answer_is_taken_off(text: str) -> None:
    assert without_thinking(text).strip() == "A red square."


@pytest.mark.parametrize("text", ["<think>\nThe user wants", "[THINK]hm", "<|channel|>analysis<|message|>hm"])
def test_thoughts_that_do_not_end_are_no_answer(text: str) -> None:
    with pytest.raises(UnendedThinkingError):
        without_thinking(text)


@pytest.mark.parametrize(
    "text",
    [
        "A red <reason>x</reason> square.",
        "no beginning</analysis> A square.",
        "A square. <think>Is it?</think> It is red.",
        "The sign says </think> in red.",
        "Red <|im_start|>user",
        "It is <|begin_of_box|>3<|end_of_box|>.",
    ],
)
def test_what_stands_in_the_middle_is_found(text: str) -> None:
    assert left_over(without_thinking(text)) is not None


@pytest.mark.parametrize(
    "text", ["x < y and y > z", "<b>bold</b>", "I think so.", "a | b", "<html><body>", "[1] and [2]"]
)
def test_other_text_is_left_as_it_is(text: str) -> None:
    assert without_thinking(text) == text
    assert left_over(text) is None
