"""One OpenAI-compatible endpoint: sending a chat completion, and saying what a failure means."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import openai

from components.instructions.purchase_errors import PurchaseStoppedError
from components.instructions.reply import FailureKind, Reply, SendFailure
from components.parameters.instructions import PurchaseParameters

_DETAIL_CHARACTERS = 500
_HIDDEN = "[key]"
_SHORTEST_SECRET = 12  # characters
# Of codes that come as 429 and do not pass by waiting.
_NO_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
# What is wrong with one request. Any other 4xx is about the account, the address or the moment.
_REQUEST_AT_FAULT = frozenset({400, 413, 415, 422})
# About one image where others are allowed, else about the account.
_FORBIDDEN = 403
# Somebody in between gave up waiting, or the connection was closed from here; the model may have answered.
_GAVE_UP = frozenset({499, 504, 524})
# A count above is no count; a model that reads ten million tokens at once does not exist.
_MOST_TOKENS = 10_000_000
_NOT_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "LocalProtocolError", "UnsupportedProtocol"})


class EndpointRefusedError(PurchaseStoppedError):
    """The endpoint takes nothing from this purchase: a wrong key, no such model, no money left.

    Attributes:
        status: the HTTP status; None when nothing was sent.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def endpoint_key(parameters: PurchaseParameters) -> str:
    """The key, from the environment.

    Raises:
        EndpointRefusedError: the variable is not set, or holds what cannot be a key.
    """
    # A key read from a file often brings the end of its line along.
    key = os.environ.get(parameters.key_variable, "").strip()
    if not (key.isascii() and key.isprintable()):
        raise EndpointRefusedError(
            f"the environment variable {parameters.key_variable} holds something that cannot be a key: characters "
            "other than printable ASCII; export it again"
        )
    if not key:
        raise EndpointRefusedError(
            f"the environment variable {parameters.key_variable} holds no key for {parameters.base_url}; export it "
            "(any text for a server without keys), or name another variable in purchase.key_variable"
        )
    return key


class ReplyReader:
    """Takes replies and failures of one endpoint apart; what it says never holds the key, nor what no ledger can keep.

    Args:
        address: of the endpoint, for messages.
        key: to keep out of every text: some servers repeat it in what they say.
    """

    def __init__(self, address: str, key: str) -> None:
        self._address = address
        self._key = key

    def read(self, reply: object) -> Reply | SendFailure:
        """Take a chat completion apart; a failure when it does not have the form of one."""
        match reply:
            case {"choices": [{"message": {**message}, **choice}, *_], **rest}:
                text = message.get("content") or message.get("refusal") or ""
                usage = rest.get("usage") if isinstance(rest.get("usage"), dict) else {}
                return Reply(
                    text=self.cleaned(str(text)),
                    finish_reason=self.detail(str(choice.get("finish_reason") or "stop")),
                    model=self.detail(str(rest.get("model") or "")),
                    input_tokens=_count(usage, "prompt_tokens", least=1),  # every request has a prompt
                    output_tokens=_count(usage, "completion_tokens", least=1 if text else 0),
                )
        return self.broken_reply(f"not a chat completion: {reply}")

    def broken_reply(self, said: str) -> SendFailure:
        """A reply that came and cannot be read."""
        return SendFailure("unknown", "broken_reply", self.detail(said))

    def explain(self, error: openai.APIError) -> SendFailure:
        """What a failure means for the request and for the purchase."""
        match error:
            case openai.APITimeoutError() if type(error.__cause__).__name__ not in _NOT_SENT:
                return SendFailure("unknown", "timeout", "no reply within purchase.timeout_seconds")
            case openai.APIResponseValidationError():
                return self.broken_reply(str(error))
            case openai.APIStatusError():
                return self.explain_status(
                    error.status_code, self.detail(_message(error)), str(error.code or ""), _retry_after(error)
                )
        cause = error.__cause__ or error
        # Without a connection nothing was sent; with one that broke, nobody knows.
        not_sent = type(cause).__name__ in _NOT_SENT
        detail = self.detail(f"{type(cause).__name__}: {cause}")
        return SendFailure("refused" if not_sent else "unknown", "connection", detail)

    def explain_status(self, status: int, message: str, code: str, retry_after: float | None = None) -> SendFailure:
        """What an HTTP status other than 2xx means: the one place that says."""
        said = f"HTTP {status}: {message}"
        if status in _REQUEST_AT_FAULT and code not in _NO_MONEY:
            return SendFailure("rejected", "rejected", said)
        if status == 429 and code not in _NO_MONEY:
            return SendFailure("refused", "rate_limited", said, retry_after=retry_after)
        if status in _GAVE_UP:
            return SendFailure("unknown", "timeout", said, retry_after=retry_after)
        if status in (408, 409, 425) or not 400 <= status < 500:
            reason = "conflict" if status == 409 else "server_error"
            return SendFailure("refused", reason, said, retry_after=retry_after)
        refused = EndpointRefusedError(
            f"the endpoint {self._address} takes no requests: {said}. Correct the key, instructions.model "
            "or purchase.base_url, or add money to the account, and run again; everything bought is kept",
            status=status,
        )
        kind: FailureKind = "forbidden" if status == _FORBIDDEN else "account"
        return SendFailure(kind, "endpoint_refused", str(refused), error=refused)

    def detail(self, text: str) -> str:
        """A text without the key, on one line, cut to a length a person reads."""
        return " ".join(self.cleaned(text).split())[:_DETAIL_CHARACTERS]

    def cleaned(self, text: str) -> str:
        """A text without the key, and without what a database cannot keep: NUL and halves of surrogate pairs."""
        storable = text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
        # A short key is a placeholder for a server without keys, and part of many words.
        return storable.replace(self._key, _HIDDEN) if len(self._key) >= _SHORTEST_SECRET else storable


class Endpoint:
    """Sends chat completions; see `open_endpoint`."""

    def __init__(self, client: openai.AsyncOpenAI, reader: ReplyReader, *, timeout_seconds: float) -> None:
        self._client = client
        self._reader = reader
        self._timeout_seconds = timeout_seconds

    async def complete(self, body: Mapping[str, object], *, send_key: str) -> Reply | SendFailure:
        """Send one chat completion, once.

        Args:
            body: JSON values, see `components.instructions.chat`.
            send_key: the same for two sends of the same body for the same request, so that an endpoint or a gateway
                that knows `Idempotency-Key` charges one of them.
        """
        try:
            # The client's own limit is of the silence between two pieces of a reply; this one is of the whole.
            async with asyncio.timeout(self._timeout_seconds):
                # A plain POST: the body is what a batch file holds too, and no reply is trusted to have the right form.
                reply = await self._client.post(
                    "/chat/completions", cast_to=object, body=body, options={"headers": {"Idempotency-Key": send_key}}
                )
        except openai.APIError as error:
            return self._reader.explain(error)
        except TimeoutError:
            return SendFailure("unknown", "timeout", "no complete reply within purchase.timeout_seconds")
        except (ValueError, RecursionError) as error:  # a body that says it is JSON and is not, or is too deep
            return self._reader.broken_reply(str(error))
        return self._reader.read(reply)


@asynccontextmanager
async def open_endpoint(parameters: PurchaseParameters) -> AsyncIterator[Endpoint]:
    """Connect to `purchase.base_url` with the key from the environment.

    Raises:
        EndpointRefusedError: there is no key.
    """
    key = endpoint_key(parameters)
    async with openai.AsyncOpenAI(
        api_key=key,
        base_url=parameters.base_url,
        timeout=parameters.timeout_seconds,
        max_retries=0,  # every send is in the ledger, so none may happen without it
    ) as client:
        reader = ReplyReader(parameters.base_url, key)
        yield Endpoint(client, reader, timeout_seconds=parameters.timeout_seconds)


def _message(error: openai.APIStatusError) -> str:
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return str(body["message"])
    return str(body or error.message)


def _retry_after(error: openai.APIStatusError) -> float | None:
    headers = error.response.headers
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / unit)
        except (KeyError, ValueError):
            continue
    return _until_date(headers.get("retry-after", ""), now=headers.get("date", ""))


def _until_date(value: str, *, now: str) -> float | None:
    """Seconds between two dates of the endpoint's own clock; this machine's may be wrong."""
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, (parsedate_to_datetime(value) - parsedate_to_datetime(now)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def _count(usage: Any, name: str, *, least: int) -> int | None:
    value = usage.get(name)
    counted = isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MOST_TOKENS
    return value if counted else None
