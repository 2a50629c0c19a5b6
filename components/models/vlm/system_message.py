"""The system message of a conversation, for models whose chat template has one."""

from components.models.vlm.conversation import ConversationTemplate, Message, TemplateError
from components.models.vlm.load import LoadedVlm


def template_with_system(vlm: LoadedVlm, system: str, *, turns: int) -> ConversationTemplate | None:
    """A model's conversation template that opens every conversation with a system message.

    Args:
        vlm: the model.
        system: what it says; not empty.
        turns: of the longest conversation that is put together with it.

    Returns:
        None when the chat template has no system message: it refuses one, leaves it out, writes it twice, or writes it
        as it writes a message of the user.
    """
    said = _as_data(vlm.template, system)
    try:
        template = vlm.template.opened_by([_message("system", said)])
        opening = template.frames(1)[0].before_question
        template.frames(turns)
        if opening.count(said) != 1 or opening == _opening_as_user(vlm, said):
            return None
    except TemplateError:
        return None
    return template


def _opening_as_user(vlm: LoadedVlm, said: str) -> str:
    """The opening when the text comes in a user's message; empty where two of these in a row are refused."""
    try:
        return vlm.template.opened_by([_message("user", said)]).frames(1)[0].before_question
    except TemplateError:
        return ""


def _message(role: str, text: str) -> Message:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def _as_data(template: ConversationTemplate, text: str) -> str:
    """The text as a conversation takes it in: stripped, without control tokens."""
    frame = template.frames(1)[0]
    return template.prompt([], text).text.removeprefix(frame.before_question).removesuffix(frame.before_response)
