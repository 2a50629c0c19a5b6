"""The model of provider `local`: loaded once, writes one group of responses at a time."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from PIL import Image

from components.instructions.chat import prompt_of, repair_text
from components.instructions.local.prompt import LocalPrompt
from components.instructions.purchase_errors import PurchaseStoppedError
from components.instructions.replies.judge import repair_of
from components.instructions.reply import Reply
from components.models.vlm.conversation import TemplateError
from components.models.vlm.image_inputs import ProcessorError
from components.models.vlm.labels import EncodedSample, SampleError, encode_prompt
from components.models.vlm.load import LoadedVlm, ModelError, check_files, load_vlm, open_vlm
from components.models.vlm.system_message import template_with_system
from components.models.vlm.write import WrittenResponse, write_responses
from components.parameters.instructions import InstructionParameters, LocalParameters
from components.parameters.parameters import VlmParameters
from components.pool.samples import Turn

# Of a model that does not say how much it can read.
_UNSAID_CONTEXT = 32_768
# The least that `vlm.context_length` may be; it is set when the model's own is known.
_ANY_CONTEXT = 32
_ANY_IMAGE = (640, 480)  # pixels


class LocalModelError(PurchaseStoppedError):
    """The model cannot be loaded; the message says what to change."""


class MemoryShortError(RuntimeError):
    """There is not enough memory for what is written together; the message says what to change."""


class LocalWriter:
    """A loaded model; see `open_writer`."""

    def __init__(self, vlm: LoadedVlm, parameters: InstructionParameters, *, model: str) -> None:
        self._vlm = vlm
        self._parameters = parameters
        self._model = model
        self._with_system: dict[str, LoadedVlm | None] = {}

    def write(self, prompts: Sequence[LocalPrompt]) -> list[Reply | SampleError]:
        """Write a response to each prompt, all of them at a time.

        Args:
            prompts: any number.

        Returns:
            For each the reply, or why the model cannot be asked.

        Raises:
            MemoryShortError: there is not enough memory for so many.
        """
        encoded = [self._encode(prompt) for prompt in prompts]
        usable = [one for one in encoded if isinstance(one, EncodedSample)]
        seeds = [_seed(prompt) for prompt, one in zip(prompts, encoded, strict=True) if isinstance(one, EncodedSample)]
        written = iter(self._write(usable, seeds) if usable else ())
        return [one if isinstance(one, SampleError) else self._reply(one, next(written)) for one in encoded]

    def _write(self, encoded: Sequence[EncodedSample], seeds: Sequence[int]) -> list[WrittenResponse]:
        most, temperature = self._parameters.max_output_tokens, self._parameters.temperature
        try:
            return write_responses(self._vlm, encoded, max_new_tokens=most, temperature=temperature, seeds=seeds)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            raise MemoryShortError(
                f"{self._vlm.device} has not enough memory to write {len(encoded)} instructions at a time: lower "
                f"purchase.local.batch_size, instructions.image_limit ({self._parameters.image_limit}) or "
                f"instructions.max_output_tokens ({most}) ({_first_line(error)})"
            ) from None

    def _encode(self, prompt: LocalPrompt) -> EncodedSample | SampleError:
        template, filled = prompt_of(prompt.identified)
        vlm, asked = self._vlm, filled.user
        if filled.system:
            with_system = self._vlm_with_system(filled.system)
            # A model without system messages reads it at the head of the user's message.
            vlm, asked = (with_system, asked) if with_system else (vlm, f"{filled.system}\n\n{asked}")
        history: tuple[Turn, ...] = ()
        repair = repair_of(prompt.replies)
        if repair is not None:
            history = (Turn(asked, repair.response),)
            asked = repair_text(repair, template)
        try:
            return encode_prompt(vlm, history, asked, prompt.image)
        except SampleError as error:
            return SampleError(
                error.reason,
                f"{error.detail}; for provider local this is what instructions.max_output_tokens "
                f"({self._parameters.max_output_tokens}) leaves of the model's context",
            )

    def _vlm_with_system(self, system: str) -> LoadedVlm | None:
        if system not in self._with_system:
            template = template_with_system(self._vlm, system, turns=_turns(self._parameters))
            self._with_system[system] = replace(self._vlm, template=template) if template else None
        return self._with_system[system]

    def _reply(self, encoded: EncodedSample, written: WrittenResponse) -> Reply:
        return Reply(
            text=written.text,
            finish_reason="stop" if written.finished else "length",
            model=self._model,
            input_tokens=len(encoded.input_ids),
            output_tokens=written.tokens,
        )


def open_writer(parameters: InstructionParameters, local: LocalParameters, *, model: str) -> LocalWriter:
    """Load the model.

    Args:
        parameters: which, and how much it writes.
        local: where.
        model: what it is called in the ledger.

    Raises:
        LocalModelError: it cannot be loaded.
    """
    try:
        with _named(parameters):
            vlm = load_vlm(_wanted(parameters, local))
            vlm.template.frames(_turns(parameters))
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        raise LocalModelError(
            f"instructions.model {parameters.model!r} does not fit into the memory of device {local.device!r}: take a "
            f"smaller model, or purchase.local.dtype bfloat16 ({_first_line(error)})"
        ) from error
    return LocalWriter(_with_longest_context(vlm, parameters), parameters, model=model)


def check_writer(parameters: InstructionParameters, local: LocalParameters) -> None:
    """See whether the model could write; of its weights only the heads of their files are read.

    Args:
        parameters: which, and how much it writes.
        local: where.

    Raises:
        LocalModelError: it could not.
    """
    with _named(parameters):
        wanted = _wanted(parameters, local)
        vlm = open_vlm(wanted)
        check_files(wanted, vlm)
        vlm.template.frames(_turns(parameters))
        encode_prompt(_with_longest_context(vlm, parameters), (), "", Image.new("RGB", _ANY_IMAGE))


def _wanted(parameters: InstructionParameters, local: LocalParameters) -> VlmParameters:
    assert parameters.model is not None
    return VlmParameters(
        model=parameters.model,
        revision=parameters.revision,
        context_length=_ANY_CONTEXT,
        max_pixels=None,  # instructions.image_limit has reduced it
        template_arguments=parameters.template_arguments,
        device=local.device,
        dtype=local.dtype,
    )


@contextmanager
def _named(parameters: InstructionParameters) -> Iterator[None]:
    try:
        yield
    except (ModelError, TemplateError, ProcessorError, SampleError) as error:
        raise LocalModelError(
            f"provider local cannot use instructions.model {parameters.model!r}: {error} (it is loaded like vlm.model, "
            "from instructions.model, instructions.revision, instructions.template_arguments and purchase.local)"
        ) from error


def _with_longest_context(vlm: LoadedVlm, parameters: InstructionParameters) -> LoadedVlm:
    """The model with all of its context but what an answer may take."""
    text = vlm.bare_model.config.get_text_config()
    longest = int(getattr(text, "max_position_embeddings", None) or _UNSAID_CONTEXT)
    if parameters.max_output_tokens >= longest:
        raise LocalModelError(
            f"instructions.max_output_tokens {parameters.max_output_tokens} leaves nothing of the {longest} tokens of "
            f"instructions.model {parameters.model!r} for a prompt; lower it"
        )
    return replace(vlm, context_length=longest - parameters.max_output_tokens)


def _turns(parameters: InstructionParameters) -> int:
    return 2 if parameters.repairs else 1


def _seed(prompt: LocalPrompt) -> int:
    """The same whenever the same is asked: a group that is asked again after a crash is answered alike."""
    digest = hashlib.sha256(f"{prompt.identified.request_id} {len(prompt.replies)}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _is_out_of_memory(error: RuntimeError) -> bool:
    # torch has an error of its own for a GPU; on a CPU only the message tells.
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def _first_line(error: RuntimeError) -> str:
    return str(error).partition("\n")[0]
