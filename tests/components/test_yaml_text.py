"""YAML of people is read or refused, whatever it is; no text ends the process."""

import subprocess
import sys

import pytest
import yaml

from components.yaml_text import read_yaml

DEEP = 100_000
TOO_DEEP = {
    "lists": "a: " + "[" * DEEP + "]" * DEEP,
    "lists that do not end": "[" * DEEP,
    "maps": "{a: " * DEEP + "}" * DEEP,
    "lists by lines": "- " * DEEP + "x",
    "maps and lists": "[{a: " * DEEP,
}


@pytest.mark.parametrize("text", TOO_DEEP.values(), ids=TOO_DEEP)
def test_a_text_that_is_nested_too_deeply_is_refused(text: str):
    # In a process of its own, which a parser in C would end.
    program = "import sys, yaml; from components.yaml_text import read_yaml\n"
    program += "try: read_yaml(sys.stdin.read())\nexcept yaml.YAMLError as error: print(error)"
    ended = subprocess.run([sys.executable, "-c", program], input=text, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "nested too deeply" in ended.stdout


@pytest.mark.parametrize("text", ["a: 1\na: 2", "a: {b: 1, c: 2, b: 3}", "- {x: 1, x: 1}"])
def test_a_key_twice_is_refused(text: str):
    with pytest.raises(yaml.YAMLError, match="is there twice"):
        read_yaml(text)


def test_what_is_no_deeper_than_people_write_is_read():
    assert read_yaml("a: [{b: [1, {c: null}]}]") == {"a": [{"b": [1, {"c": None}]}]}
    assert read_yaml("") is None
