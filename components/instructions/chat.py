"""The body of one chat completion: what an endpoint, a batch file and `vllm run-batch` all take."""

import json
from dataclasses import dataclass

from components.instructions.prompts import (
    Prompt,
    PromptTemplate,
    fill_in,
    load_template,
    template_identity,
    template_of_identity,
)
from components.instructions.replies.response_rules import RuleBrokenError, conversation_schema
from components.instructions.request import IdentifiedRequest, InstructionRequest, RequestSpecification
from components.instructions.sent_image import SentImage
from components.parameters.instructions import InstructionParameters


@dataclass(frozen=True, slots=True)
class Repair:
    """A response that could not be used, to be sent back with the reason.

    Attributes:
        response: as it came.
        problem: which rule it breaks.
    """

    response: str
    problem: RuleBrokenError


def chat_specification(request: InstructionRequest, parameters: InstructionParameters) -> RequestSpecification:
    """What decides the answer of a chat model besides the image and the task."""
    sampling = {
        "image_limit": parameters.image_limit,
        "max_output_tokens": parameters.max_output_tokens,
        "structured_output": parameters.structured_output,
        "temperature": parameters.temperature,
    }
    return RequestSpecification(
        model=parameters.model,
        prompt_template=template_identity(load_template(parameters.prompts, request.task)),
        sampling=json.dumps(sampling, sort_keys=True, separators=(",", ":")),
    )


def prompt_of(identified: IdentifiedRequest) -> tuple[PromptTemplate, Prompt]:
    """The template that a request was identified with, and the template filled in."""
    template = template_of_identity(identified.specification.prompt_template)
    return template, fill_in(template, task=identified.request.task, image_sha=identified.request.image_sha)


def chat_body(
    identified: IdentifiedRequest,
    image: SentImage,
    *,
    repair: Repair | None = None,
    output_limit: str,
) -> dict[str, object]:
    """Write the body of a request to `/v1/chat/completions`.

    Args:
        identified: the request; its specification says what is asked and how.
        image: as sent.
        repair: a response to send back; None the first time.
        output_limit: what the endpoint calls the most tokens of an answer.

    Returns:
        JSON values.
    """
    template, prompt = prompt_of(identified)
    sampling = json.loads(identified.specification.sampling)
    picture = {"type": "image_url", "image_url": {"url": image.data_url}}
    messages: list[dict[str, object]] = []
    if prompt.system:
        messages.append({"role": "system", "content": prompt.system})
    messages.append({"role": "user", "content": [picture, {"type": "text", "text": prompt.user}]})
    if repair is not None:
        messages.append({"role": "assistant", "content": repair.response})
        messages.append({"role": "user", "content": repair_text(repair, template)})
    body: dict[str, object] = {
        "model": identified.specification.model,
        "messages": messages,
        "temperature": sampling["temperature"],
        output_limit: sampling["max_output_tokens"],
    }
    form = response_format(sampling["structured_output"], template)
    if form is not None:
        body["response_format"] = form
    return body


def repair_text(repair: Repair, template: PromptTemplate) -> str:
    """What a model is told about a response that could not be used."""
    form = "with the corrected JSON alone" if template.writes == "conversation" else "with the corrected response alone"
    return f"That could not be used: {repair.problem.detail}. Answer again, {form}."


def response_format(structured: str, template: PromptTemplate) -> dict[str, object] | None:
    """What an endpoint is asked to promise about the form of a response; None: nothing.

    Args:
        structured: `json_schema`, `json_object` or `none`.
        template: of the task.
    """
    if template.writes != "conversation" or structured == "none":
        return None
    if structured == "json_object":
        return {"type": "json_object"}
    schema = {"name": "conversation", "strict": True, "schema": conversation_schema(template.turns)}
    return {"type": "json_schema", "json_schema": schema}
