"""A chat template taken apart once, so that every conversation is put together the same way.

Training, scoring and generation all need to know where the responses of a rendered conversation begin and end. The
template is rendered with marks in place of the texts; what stands between the marks is what the template itself
writes, and the texts are set in afterwards. So no text can be trimmed, mistaken for another or read as template.
"""

import copy
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jinja2

from components.errors import UserError
from components.pool.samples import Turn

Message = dict[str, object]
Renderer = Callable[[list[Message], bool], str]

_EXPECTED = (
    "it is given messages of the roles user and assistant in turn, whose content is a list of parts, "
    "{'type': 'image'} in the first and {'type': 'text', 'text': ...}"
)

# A template is a program: what its expressions raise comes as it is, a list that is added to a text as a TypeError.
_TEMPLATE_FAILS = (
    jinja2.TemplateError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


class TemplateError(UserError, ValueError):
    """A model's chat template cannot be used; the message says what it does and what it would have to do."""


@dataclass(frozen=True, slots=True)
class ConversationText:
    """A conversation as text, image placeholder unexpanded.

    Attributes:
        text: what the tokenizer gets.
        response_spans: start and end in characters of every response, end-of-turn token included.
    """

    text: str
    response_spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class TurnFrame:
    """What the template writes around the texts of one turn.

    Attributes:
        before_question: up to the question; in the first turn with the image placeholder.
        before_response: from the question to where the model answers: the generation prompt.
        response_lead: white space that belongs to the response, such as the space after `ASSISTANT:`.
        end_of_turn: what closes the response.
    """

    before_question: str
    before_response: str
    response_lead: str
    end_of_turn: str


class ConversationTemplate:
    """The chat template of one model.

    Args:
        render: renders messages as text; the second argument adds the generation prompt.
        tokenize: ids of a text, without special tokens added.
        image_token: the placeholder of an image in a rendered text.
        special_tokens: texts that the tokenizer reads as one token each.
        end_of_sequence: closes a response where the template itself does not.
        origin: which template it is and where it is written, for messages.
    """

    def __init__(
        self,
        render: Renderer,
        tokenize: Callable[[str], list[int]],
        *,
        image_token: str,
        special_tokens: Sequence[str],
        end_of_sequence: str | None,
        origin: str,
    ) -> None:
        self.image_token = image_token
        self._origin = origin
        self._render = render
        self._tokenize = tokenize
        self._special_token = _any_of(special_tokens)
        self._control_token = _any_of([*special_tokens, image_token])
        self._end_of_sequence = end_of_sequence
        self._frames: dict[tuple[int, bool], tuple[TurnFrame, ...]] = {}

    @property
    def end_of_turn(self) -> str:
        """What closes a response: the end-of-turn token, after white space where the template has some."""
        return self.frames(1)[0].end_of_turn

    def opened_by(self, opening: Sequence[Message]) -> "ConversationTemplate":
        """The same template, with messages that every conversation begins with."""
        opened = copy.copy(self)
        opened._render = lambda messages, prompting: self._render([*opening, *messages], prompting)
        opened._frames = {}
        return opened

    def conversation(self, turns: Sequence[Turn], *, with_question: bool = True) -> ConversationText:
        """Put a conversation together, up to the end of its last response.

        Args:
            turns: at least one; texts are stripped of the white space around them.
            with_question: False, for a single turn, leaves its question out: the user's message is the image alone.

        Returns:
            The text and the spans of the responses.

        Raises:
            TemplateError: the template cannot be used.
        """
        text = ""
        spans: list[tuple[int, int]] = []
        for frame, turn in zip(self.frames(len(turns), with_question=with_question), turns, strict=True):
            text += frame.before_question + (self._as_data(turn.question) if with_question else "")
            text += frame.before_response
            start = len(text)
            text += frame.response_lead + self._as_data(turn.response) + frame.end_of_turn
            spans.append((start, len(text)))
        return ConversationText(text=text, response_spans=tuple(spans))

    def prompt(self, history: Sequence[Turn], question: str) -> ConversationText:
        """Put a prompt together that ends where the model is to answer.

        Args:
            history: the turns before, possibly none.
            question: what is asked now.

        Returns:
            The text that `conversation` has before the last response, and the spans of the responses before.
        """
        whole = self.conversation([*history, Turn(question=question, response="")])
        return ConversationText(whole.text[: whole.response_spans[-1][0]], whole.response_spans[:-1])

    def frames(self, turns: int, *, with_question: bool = True) -> tuple[TurnFrame, ...]:
        """What the template writes around the texts of a conversation of so many turns.

        Raises:
            TemplateError: the template cannot be used.
        """
        key = (turns, with_question)
        if key not in self._frames:
            try:
                frames = self._read_frames(turns) if with_question else (self._read_frame_without_question(),)
                self._check_image(frames)
            except TemplateError as error:
                raise TemplateError(f"{self._origin}: {error}") from error
            except _TEMPLATE_FAILS as error:
                raise TemplateError(
                    f"{self._origin} cannot be rendered: {type(error).__name__}: {error}; {_EXPECTED}"
                ) from error
            self._frames[key] = frames
        return self._frames[key]

    def _as_data(self, text: str) -> str:
        """Break up what the tokenizer would read as a control token, so that data cannot write one."""
        return self._control_token.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text.strip())

    def _rendered(self, messages: list[Message], prompting: bool) -> str:
        text = self._render(messages, prompting)
        if "{'type': '" in text:
            raise TemplateError(f"the chat template writes the list of parts as if it were a text; {_EXPECTED}")
        return text

    def _read_frames(self, turns: int) -> tuple[TurnFrame, ...]:
        marks = [(f"\u27eaQ{k}\u27eb", f"\u27eaR{k}\u27eb") for k in range(turns)]
        messages = _messages(marks)
        rendered = self._rendered(messages, False)
        pieces = _split_at([mark for pair in marks for mark in pair], rendered)
        endings = [self._end_of_turn_of(piece, tail=pieces[-1]) for piece in pieces[2::2]]
        frames = []
        before_question = pieces[0]
        for k, (question, _) in enumerate(marks):
            so_far = rendered[: rendered.index(question) + len(question)]
            generation_prompt, lead = self._response_start(so_far, messages[: 2 * k + 1], pieces[2 * k + 1])
            end_of_turn, rest = endings[k]
            frames.append(TurnFrame(before_question, generation_prompt, lead, end_of_turn))
            before_question = rest
        return tuple(frames)

    def _read_frame_without_question(self) -> TurnFrame:
        mark = "\u27eaR\u27eb"
        messages = _messages([(None, mark)])
        opening = self._rendered(messages[:1], False)
        before, tail = _split_at([mark], self._rendered(messages, False))
        if not before.startswith(opening):
            raise TemplateError(f"the chat template renders an image alone as {opening!r}, answered as {before!r}")
        generation_prompt, lead = self._response_start(opening, messages[:1], before[len(opening) :])
        return TurnFrame(opening, generation_prompt, lead, self._end_of_turn_of(tail, tail=tail)[0])

    def _response_start(self, so_far: str, messages: list[Message], header: str) -> tuple[str, str]:
        """Split what stands between question and response into generation prompt and response lead."""
        asked = self._rendered(messages, True)
        if not asked.startswith(so_far):
            raise TemplateError(
                f"the chat template renders earlier turns differently once later ones follow: {asked!r} does not "
                f"begin with {so_far!r}; a template is needed whose text only grows"
            )
        generation_prompt = asked[len(so_far) :]
        if "<think>" in generation_prompt.rpartition("</think>")[2]:
            raise TemplateError(
                f"the chat template prompts for thoughts, {generation_prompt!r}, and instructions hold none; turn them "
                "off in vlm.template_arguments, for most models by {enable_thinking: false}"
            )
        lead = header.removeprefix(generation_prompt)
        if lead.strip():
            # Only white space may differ; then what the model sees when it is asked is what it is trained on.
            if not generation_prompt.startswith(header) and generation_prompt.split() != header.split():
                raise TemplateError(
                    f"the chat template opens a response with {header!r} but prompts for one with "
                    f"{generation_prompt!r}; the two must agree but for white space (vlm.template_arguments may help, "
                    "such as {enable_thinking: false} for a template that writes thoughts)"
                )
            lead = ""
        bare = generation_prompt.rstrip(" ")
        for prompt, start in ((generation_prompt, lead), (bare, generation_prompt[len(bare) :] + lead)):
            ids = self._tokenize(so_far + prompt)
            if self._tokenize(so_far + prompt + start + "a")[: len(ids)] == ids:
                return prompt, start
        raise TemplateError(
            f"the tokenizer joins the generation prompt {generation_prompt!r} with the response that follows it"
        )

    def _end_of_turn_of(self, piece: str, *, tail: str) -> tuple[str, str]:
        """Split what follows a response into end of turn and rest; the template's tail says how responses end."""
        closing = re.match(rf"\s*(?:{self._special_token.pattern})", tail)
        if closing is None:
            if self._end_of_sequence is None:
                raise TemplateError("neither the chat template nor the tokenizer has an end-of-turn token")
            return self._end_of_sequence, piece.lstrip()
        if not piece.startswith(closing[0]):
            raise TemplateError(f"the chat template closes the last response with {closing[0]!r}, earlier ones not")
        return closing[0], piece[closing.end() :]

    def _check_image(self, frames: Sequence[TurnFrame]) -> None:
        first = (frames[0].before_question + frames[0].before_response).count(self.image_token)
        later = sum((frame.before_question + frame.before_response).count(self.image_token) for frame in frames[1:])
        if (first, later) != (1, 0):
            raise TemplateError(
                f"the chat template writes the image placeholder {self.image_token!r} {first} times in the first "
                f"turn and {later} times later; it must write it once, in the first turn; {_EXPECTED}"
            )


def _any_of(tokens: Sequence[str]) -> re.Pattern[str]:
    longest_first = sorted({token for token in tokens if token}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")


def _messages(turns: Sequence[tuple[str | None, str]]) -> list[Message]:
    messages: list[Message] = []
    for k, (question, response) in enumerate(turns):
        content: list[dict[str, str]] = [{"type": "image"}] if k == 0 else []
        if question is not None:
            content.append({"type": "text", "text": question})
        messages.append({"role": "user", "content": content})
        messages.append({"role": "assistant", "content": [{"type": "text", "text": response}]})
    return messages


def _split_at(marks: Sequence[str], rendered: str) -> list[str]:
    pieces = []
    rest = rendered
    for mark in marks:
        before, found, after = rest.partition(mark)
        if not found or mark in before + after:
            raise TemplateError(
                f"the chat template must write every text exactly once and in order; it renders {rendered!r}; "
                f"{_EXPECTED}"
            )
        pieces.append(before)
        rest = after
    return [*pieces, rest]
