import os

import pytest
import yaml

from components.instructions.prompts import (
    PromptError,
    fill_in,
    load_template,
    template_identity,
    template_of_identity,
)
from tests.components.instructions.purchases import write_template
from tests.imports_of import ROOT

SHA = "0123456789abcdef" * 4


def test_the_shipped_template_is_usable():
    template = load_template(ROOT / "conf" / "prompts", "any task")
    assert (template.writes, template.turns.at_most) == ("conversation", 3)
    assert "Task: chart" in fill_in(template, task="chart", image_sha=SHA).user


def test_a_task_has_its_own_template_where_there_is_one(tmp_path):
    write_template(tmp_path, user="about anything")
    write_template(tmp_path, "chart", user="about charts")
    assert load_template(tmp_path, "chart").user == "about charts"
    assert load_template(tmp_path, "shape").user == "about anything"


def test_a_tasks_name_does_not_lead_out_of_the_folder(tmp_path):
    write_template(tmp_path / "prompts", user="inside")
    write_template(tmp_path, "outside", user="outside")
    assert load_template(tmp_path / "prompts", "../outside").user == "inside"


@pytest.mark.parametrize(
    "task", ["long " * 60, "ö" * 300, "", ".", "..", "a/b", "/etc/x", "a\0b", "a\nb", "?*", "\U0001f600"]
)
def test_a_task_whose_name_is_no_name_of_a_file_has_the_default_template(tmp_path, task):
    write_template(tmp_path, "default", user="about anything")
    assert load_template(tmp_path, task).user == "about anything"


def test_a_changed_file_is_read_again(tmp_path):
    import os

    write_template(tmp_path, user="old")
    assert load_template(tmp_path, "t").user == "old"
    write_template(tmp_path, user="new")
    os.utime(tmp_path / "default.yaml", ns=(1, 1))
    assert load_template(tmp_path, "t").user == "new"


def test_wording_decides_the_identity_and_the_expected_length_does_not(tmp_path):
    write_template(tmp_path)
    first = template_identity(load_template(tmp_path, "t"))
    write_template(tmp_path, "b", expected_output_tokens=999)
    assert template_identity(load_template(tmp_path, "b")) == first
    changes: dict[str, dict[str, object]] = {
        "c": {"version": 2},
        "d": {"system": "Other."},
        "e": {"turns": {"at_least": 1, "at_most": 2}},
        "f": {"response_words": {"at_least": 2, "at_most": 9}},
        "g": {"language": "any"},
    }
    for name, change in changes.items():
        write_template(tmp_path, name, **change)
        assert template_identity(load_template(tmp_path, name)) != first, change
    assert template_identity(template_of_identity(first)) == first


def test_an_image_always_gets_the_same_question(tmp_path):
    questions = ["What is it?", "Where is it?", "Describe {it}."]
    write_template(
        tmp_path,
        writes="response",
        questions=questions,
        turns={"at_least": 1, "at_most": 1},
        user="{question} ({task})",
    )
    template = load_template(tmp_path, "t")
    prompts = [fill_in(template, task="t", image_sha=f"{number:08x}") for number in range(3)]
    assert [prompt.question for prompt in prompts] == questions
    assert prompts[2].user == "Describe {it}. (t)", "what is filled in is not filled in again"
    assert fill_in(template, task="t", image_sha=SHA) == fill_in(template, task="t", image_sha=SHA)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"user": "about {subject}"}, r"user: .*unknown placeholder \{subject\}"),
        ({"turns": {"at_least": 3, "at_most": 2}}, "at_least 3 is more than at_most 2"),
        ({"turns": {"at_least": 0, "at_most": 2}}, "turns.at_least must be 1 or more"),
        ({"questions": ["What?"]}, "leave `questions` empty"),
        ({"writes": "response"}, "needs `questions`"),
        ({"language": "xx"}, "language: .*cannot be told apart"),
        ({"colour": "red"}, "colour: is no parameter"),
        ({"version": 0}, "version: "),
    ],
)
def test_a_template_that_cannot_be_used_is_named_with_what_is_wrong(tmp_path, change, message):
    write_template(tmp_path, **change)
    with pytest.raises(PromptError, match=message) as caught:
        load_template(tmp_path, "t")
    assert "default.yaml is not usable" in str(caught.value)


def test_a_missing_template_and_a_file_that_is_not_yaml(tmp_path):
    with pytest.raises(PromptError, match=r"no prompt template for task 't': neither .*t.yaml nor .*default.yaml"):
        load_template(tmp_path, "t")
    (tmp_path / "default.yaml").write_text("user: [")
    with pytest.raises(PromptError, match="is not YAML"):
        load_template(tmp_path, "t")
    (tmp_path / "default.yaml").write_text(yaml.safe_dump(["a list"]))
    with pytest.raises(PromptError, match="is not usable"):
        load_template(tmp_path, "t2")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("user: Café".encode("latin-1"), "is not text in UTF-8.*save it as UTF-8"),
        ("user: a".encode("utf-16"), "is not text in UTF-8.*save it as UTF-8"),
        (b"user: \x07", "is not YAML"),
        (b"version: 2026-13-01", "is not YAML: month must be in 1..12"),
        (b"", "is not usable"),
        (b"just a text", "is not usable"),
    ],
)
def test_bytes_that_are_no_template_are_one_error_that_names_the_file(tmp_path, data, message):
    (tmp_path / "default.yaml").write_bytes(data)
    with pytest.raises(PromptError, match=rf"prompt template .*default\.yaml {message}"):
        load_template(tmp_path, "t")


def test_a_template_may_begin_with_a_byte_order_mark(tmp_path):
    write_template(tmp_path)
    file = tmp_path / "default.yaml"
    plain = load_template(tmp_path, "t")
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    os.utime(file, ns=(1, 1))
    assert load_template(tmp_path, "t") == plain
