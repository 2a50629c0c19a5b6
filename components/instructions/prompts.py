"""Prompt templates: what is asked about an image of a task, and what an answer must be like.

A template is a file, `TASK.yaml` or `default.yaml` for every other task. All of it but the expected number of tokens is
part of a request's identity, so a reworded template asks anew and the ledger still knows which wording brought what.
"""

import json
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from components.errors import UserError
from components.parameters.problems import describe_problem
from components.parameters.section import Count, Section
from components.yaml_text import read_yaml

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_KNOWN_PLACEHOLDERS = frozenset({"task", "question"})
_NOT_IDENTITY = frozenset({"expected_output_tokens"})
DEFAULT_TEMPLATE = "default"


class PromptError(UserError, ValueError):
    """A template is missing or not usable; the message names the file and what is wrong."""


class Range(Section):
    """A number that must lie between two others, both included."""

    at_least: Annotated[int, Field(ge=0)]
    at_most: Count

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.at_least > self.at_most:
            raise ValueError(f"at_least {self.at_least} is more than at_most {self.at_most}")
        return self


class PromptTemplate(Section):
    """What is asked about an image, and what an answer must be like.

    Attributes:
        version: raised with every change, for people; the wording itself is what decides.
        writes: `conversation`: questions and responses, as JSON; `response`: to one of `questions`, as plain text.
        turns: of a conversation.
        questions: one of them is asked about each image, chosen by the image; empty for a conversation.
        system: the system message; empty: none.
        user: the text beside the image; `{task}` and `{question}` are filled in.
        response_words: of each response.
        language: ISO 639-1 code of questions and responses; `any` leaves it open.
        expected_output_tokens: of one answer, for the estimate.
    """

    version: Count
    writes: Literal["conversation", "response"]
    turns: Range
    questions: tuple[str, ...]
    system: str
    user: Annotated[str, Field(min_length=1)]
    response_words: Range
    language: Annotated[str, Field(pattern=r"^([a-z]{2}|any)$")]
    expected_output_tokens: Count

    @field_validator("system", "user")
    @classmethod
    def _known_placeholders(cls, value: str) -> str:
        unknown = sorted(set(_PLACEHOLDER.findall(value)) - _KNOWN_PLACEHOLDERS)
        if unknown:
            raise ValueError(f"unknown placeholder {{{unknown[0]}}}; there are {{task}} and {{question}}")
        return value

    @field_validator("language")
    @classmethod
    def _detectable(cls, value: str) -> str:
        from components.instructions.replies.language import LANGUAGES

        if value != "any" and value not in LANGUAGES:
            raise ValueError(f"cannot be told apart; use any or one of {', '.join(sorted(LANGUAGES))}")
        return value

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.writes == "conversation" and self.questions:
            raise ValueError("writes: conversation invents its questions; leave `questions` empty")
        if self.writes == "response" and (not self.questions or self.turns != Range(at_least=1, at_most=1)):
            raise ValueError("writes: response needs `questions`, and turns of at_least 1 and at_most 1")
        if not self.turns.at_least:
            raise ValueError("turns.at_least must be 1 or more")
        return self


@dataclass(frozen=True, slots=True)
class Prompt:
    """A template filled in for one image.

    Attributes:
        system: the system message; empty: none.
        user: the text beside the image.
        question: what is asked, when the template gives the question; else empty.
    """

    system: str
    user: str
    question: str


def load_template(folder: str | Path, task: str) -> PromptTemplate:
    """Read the template of a task.

    Args:
        folder: `instructions.prompts`.
        task: the task.

    Raises:
        PromptError: neither the task's file nor `default.yaml` is there, or the file is not a template.
    """
    file = template_file(folder, task)
    try:
        return _read(file, file.stat().st_mtime_ns)
    except ValidationError as error:
        problems = "\n".join(
            f"  {'.'.join(str(part) for part in item['loc']) or 'template'}: {describe_problem(item, PromptTemplate)}"
            for item in error.errors()
        )
        raise PromptError(f"prompt template {file} is not usable:\n{problems}") from None
    except OSError as error:
        raise PromptError(f"prompt template {file} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise PromptError(f"prompt template {file} is not text in UTF-8 ({error}); save it as UTF-8") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2026-13-01
        raise PromptError(f"prompt template {file} is not YAML: {' '.join(str(error).split())}") from None


def template_file(folder: str | Path, task: str) -> Path:
    """The file that holds the template of a task.

    Raises:
        PromptError: there is none.
    """
    own, default = Path(folder) / f"{task}.yaml", Path(folder) / f"{DEFAULT_TEMPLATE}.yaml"
    # A task's name is free text: one with a slash must not lead out of the folder, a long one can name no file.
    if own.parent == Path(folder) and os.path.isfile(own):  # noqa: PTH113 - Path.is_file raises for a long name
        return own
    if not default.is_file():
        raise PromptError(
            f"no prompt template for task {task!r}: neither {own} nor {default} exists; write one, or correct "
            "instructions.prompts"
        )
    return default


def template_identity(template: PromptTemplate) -> str:
    """All that decides an answer, as canonical JSON."""
    values = template.model_dump(mode="json", exclude=set(_NOT_IDENTITY))
    return json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@lru_cache(maxsize=256)
def template_of_identity(identity: str) -> PromptTemplate:
    """The template that an identity was made of."""
    return PromptTemplate.model_validate({**json.loads(identity), "expected_output_tokens": 1})


def fill_in(template: PromptTemplate, *, task: str, image_sha: str) -> Prompt:
    """Fill a template in for one image; the same image always gets the same question."""
    question = template.questions[int(image_sha[:8], 16) % len(template.questions)] if template.questions else ""
    values = {"task": task, "question": question}
    system, user = (_PLACEHOLDER.sub(lambda found: values[found[1]], text) for text in (template.system, template.user))
    return Prompt(system.strip(), user.strip(), question)


@lru_cache(maxsize=1024)
def _read(file: Path, mtime_ns: int) -> PromptTemplate:  # noqa: ARG001 -- part of the cache's key
    return PromptTemplate.model_validate(read_yaml(file.read_text(encoding="utf-8-sig")))
