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
        "<answer>A red square.",
        "A red square.</answer>",
        "The image shows a square. <answer>A red square.</answer>",
        "<response>\nA red square.",
        "A red square.\n</output>",
        "<SUMMARY>I will look.</SUMMARY>\n<CAPTION>A square.</CAPTION>",
        "A red square.<|im_end|>\n<|im_start|>user\nAnd?",
        "A red <|im_end square.",
        "A red square.<end_of_turn>\nmodel\nIt is red.",
        "[INST] What is it? [/INST] A red square.",
        "A red square. [/INST]",
        "A red <eos> square.",
        "A red square.</s> It is red.",
        "<<SYS>> Be kind. A square.",
        "A square.<unused7>",
        "A square.<start_of_image>",
        "<tool_call>look</tool_call> A square.",
        "analysisThe user wants a description.assistantfinalA red square.",
        "analysis\nWe look.\nassistantfinal\nA red square.",
        "assistantfinalA red square.",
        "finalA red square.",
        "assistant\n\nA red square.",
        "model\nA red square.",
        "ASSISTANT: A red square.",
        "A red square.\nUSER: And?\nASSISTANT: It is red.",
        "A red square.\nuser\nAnd?\nassistant\nIt is red.",
        "A red square.\n### Human:\nAnd?",
        "A square. <cot>hm</cot>",
        "&lt;think&gt;hm&lt;/think&gt; A square.",
        "A square. <thought_process>hm",
        "Thinking Process:\n1. Look.\nA red square.",
    ],
)
def test_what_stands_in_the_middle_is_found(text: str) -> None:
    assert left_over(without_thinking(text)) is not None


@pytest.mark.parametrize(
    "text",
    [
        "x < y and y > z",
        "<b>bold</b>",
        "I think so.",
        "a | b",
        "<html><body>",
        "[1] and [2]",
        "The page has a <div> with an <output> element and a <caption>.",
        "The price is <s>20</s> 10 dollars.",
        "<table><caption>Sales</caption><tr><td>1</td></tr></table>",
        "<details><summary>More</summary>Text</details>",
        "The final answer is 3.",
        "The user asks the assistant: who are you?",
        "My final analysis: a square.",
        "analysis of the chart shows growth.",
        "The assistant finally sits down.",
        "Final score: 3 to 2.",
        "A model\nof a ship.",
        "The sign says USER: admin.",
        "It says 'instructions [INSTALL]'.",
        "Press <Enter> and <Esc>.",
        "The screen shows:\nUSER: admin\nPASSWORD: ***",
        "The menu has three entries:\nuser\nmodel\nsystem\n",
        "The post holds [IMG]cat.png[/IMG].",
        "List<String> and vector<int>",
    ],
)
def test_other_text_is_left_as_it_is(text: str) -> None:
    assert without_thinking(text) == text
    assert left_over(text) is None
