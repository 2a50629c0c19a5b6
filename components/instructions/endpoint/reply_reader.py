"""Takes replies and failures of an OpenAI-compatible endpoint apart: what came, and what a failure means."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import openai

from components.instructions.endpoint.answer_end import end_of_answer
from components.instructions.endpoint.message_content import NoAnswerError, message_content
from components.instructions.purchase_errors import PurchaseStoppedError
from components.instructions.reply import Reply, SendFailure

_DETAIL_CHARACTERS = 500
_HIDDEN = "[key]"
_SHORTEST_SECRET = 12  # characters
# Of codes that come as 429 and do not pass by waiting.
_NO_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
# About the account or the address, whatever is asked. Any other 4xx may be about one request.
_ACCOUNT = frozenset({401, 402, 404, 405, 407, 410})
# Those that pass: too slow, at the same time as another, too early.
_CONFLICT = 409
_PASSES = frozenset({408, _CONFLICT, 425})
# About one image where others are allowed, else about the key.
_FORBIDDEN = 403
# Somebody in between gave up waiting, or the connection was closed from here; the model may have answered.
_GAVE_UP = frozenset({499, 504, 524})
# A count above is no count; a model that reads ten million tokens at once does not exist.
_MOST_TOKENS = 10_000_000
# Where a body of status 200 tells of an error, and what there tells of none.
_ERRORS = ("error", "errors", "error_message", "error_msg", "error_code")
_NO_ERROR = frozenset({"0", "false", "none", "null", "ok", "success"})
_NOT_SENT = frozenset({"ConnectError", "ConnectTimeout", "PoolTimeout", "LocalProtocolError", "UnsupportedProtocol"})


class EndpointRefusedError(PurchaseStoppedError):
    """The endpoint takes nothing from this purchase: a wrong key, no such model, no money left.

    Attributes:
        status: the HTTP status; None when nothing was sent.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


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
        """Take a chat completion apart; a failure when it says so, or is not known to be an answer that is whole."""
        error = _error_in(reply)
        if error is not None:
            failure = self._explain_error(error)
            if failure.kind == "refused" and isinstance(reply, Mapping) and reply.get("choices"):
                failure = replace(failure, kind="unknown")  # it broke off in the middle
            return self._counted(failure, reply)
        match reply:
            case {"choices": [{"message": {**message}, **choice}, *_], **rest}:
                try:
                    content = message_content(message)
                except NoAnswerError as why:
                    return self._counted(self.broken_reply(str(why)), reply)
                filtered = _is_filtered(choice, rest)
                said = end_of_answer(choice, message, rest)
                reason = "content_filter" if filtered else "refusal" if content.refused else said
                counted = _usage(reply, text=content.text)
                return Reply(
                    self.cleaned(content.text), self.detail(reason), self.detail(str(rest.get("model") or "")), *counted
                )
        return self._counted(self.broken_reply(f"not a chat completion: {reply}"), reply)

    def _explain_error(self, error: object) -> SendFailure:
        """What an error says that came with status 200; some gateways put the status into it."""
        said, status = error, 0
        match error:
            case {"message": str(message), **rest}:
                said = message
                status = _status(rest.get("code")) or _status(rest.get("status"))
        if status >= 400:
            failure = self.explain_status(status, self.detail(str(said)), "")
            if failure.arrived != "nothing":
                return failure
            # It came, whatever its code: to the same key it may come again.
            return replace(failure, reason="upstream_error", arrived="error")
        return SendFailure("unknown", "upstream_error", self.detail(f"the reply holds an error: {said}"))

    def _counted(self, failure: SendFailure, reply: object) -> SendFailure:
        sent, received = _usage(reply, text="")
        return replace(failure, input_tokens=sent, output_tokens=received)

    def broken_reply(self, said: str) -> SendFailure:
        """A reply that came and cannot be read."""
        return SendFailure("unknown", "broken_reply", self.detail(said))

    def explain(self, error: openai.APIError) -> SendFailure:
        """What a failure means for the request and for the purchase."""
        match error:
            case openai.APITimeoutError() if type(error.__cause__).__name__ not in _NOT_SENT:
                detail = "no reply within purchase.timeout_seconds"
                return SendFailure("unknown", "timeout", detail, arrived="nothing")
            case openai.APIResponseValidationError():
                return self.broken_reply(str(error))
            case openai.APIStatusError():
                return self.explain_status(
                    error.status_code, self.detail(_message(error)), str(error.code or ""), _retry_after(error)
                )
        cause = error.__cause__ or error
        # Without a connection nothing was sent; with one that broke, nobody knows.
        not_sent = type(cause).__name__ in _NOT_SENT
        if type(cause).__name__ == "DecodingError":  # it came whole, and is not compressed as it says
            return self.broken_reply(str(cause))
        detail = self.detail(f"{type(cause).__name__}: {cause}")
        return SendFailure("refused" if not_sent else "unknown", "connection", detail, arrived="nothing")

    def explain_status(self, status: int, message: str, code: str, retry_after: float | None = None) -> SendFailure:
        """What an HTTP status other than 200 means: the one place that says."""
        said = f"HTTP {status}: {message}"
        no_money = code in _NO_MONEY
        if status == 429 and not no_money:
            return SendFailure("refused", "rate_limited", said, retry_after=retry_after, arrived="nothing")
        if status in _GAVE_UP:
            return SendFailure("unknown", "timeout", said, retry_after=retry_after, arrived="nothing")
        if status in _PASSES or not 400 <= status < 500:
            if status not in _PASSES:
                return SendFailure("refused", "server_error", said, retry_after=retry_after)
            if status == _CONFLICT:
                return SendFailure("refused", "conflict", said, retry_after=retry_after, arrived="conflict")
            reason = "timeout" if status == 408 else "too_early"
            return SendFailure("refused", reason, said, retry_after=retry_after, arrived="nothing")
        refused = EndpointRefusedError(
            f"the endpoint {self._address} takes no requests: {said}. Correct the key, instructions.model "
            "or purchase.base_url, or add money to the account, and run again; everything bought is kept",
            status=status,
        )
        if no_money or status in _ACCOUNT:
            return SendFailure("account", "endpoint_refused", str(refused), error=refused)
        return SendFailure("rejected", "rejected", said, error=refused if status == _FORBIDDEN else None)

    def detail(self, text: str) -> str:
        """A text without the key, on one line, cut to a length a person reads."""
        return " ".join(self.cleaned(text).split())[:_DETAIL_CHARACTERS]

    def cleaned(self, text: str) -> str:
        """A text without the key, and without what a database cannot keep: NUL and halves of surrogate pairs."""
        storable = text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
        # A short key is a placeholder for a server without keys, and part of many words.
        return storable.replace(self._key, _HIDDEN) if len(self._key) >= _SHORTEST_SECRET else storable


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


def _error_in(reply: object) -> object:
    """What a body of status 200 says in place of an answer, or beside one, wherever; None: nothing."""
    match reply:
        case {"object": "error"}:
            return reply
        case {"base_resp": {"status_code": int(code)} as said} if code:  # MiniMax
            return said
        case {"choices": [{"message": {**message}, **choice}, *_], **rest}:
            parts = [rest, choice, message]
        case {"choices": [{**choice}, *_], **rest}:
            parts = [rest, choice]
        case {**rest}:
            parts = [rest]
        case _:
            return None
    said_of_errors = (part.get(name) for part in parts for name in _ERRORS)
    return next((said for said in said_of_errors if said and str(said).lower() not in _NO_ERROR), None)


def _status(code: object) -> int:
    """The HTTP status that an error's code is; 0: it is none."""
    text = str(code)
    return int(text) if text.isascii() and text.isdigit() and 400 <= int(text[:9]) < 600 else 0


def _is_filtered(choice: Mapping[Any, object], rest: Mapping[Any, object]) -> bool:
    """Whether a filter has taken hold of prompt or answer, as Azure says beside it."""
    prompts = rest.get("prompt_filter_results")
    found = [choice.get("content_filter_results")]
    found += (
        [one.get("content_filter_results") for one in prompts if isinstance(one, Mapping)]
        if isinstance(prompts, list)
        else []
    )
    filters = [one for results in found if isinstance(results, Mapping) for one in results.values()]
    return any(isinstance(one, Mapping) and one.get("filtered") is True for one in filters)


def _usage(reply: object, *, text: str) -> tuple[int | None, int | None]:
    """Tokens sent and received, as far as the reply says and can be right."""
    usage = reply.get("usage") if isinstance(reply, Mapping) else None
    counts = usage if isinstance(usage, Mapping) else {}
    # Every request has a prompt.
    return _count(counts, "prompt_tokens", least=1), _count(counts, "completion_tokens", least=1 if text else 0)


def _count(usage: Mapping[str, Any], name: str, *, least: int) -> int | None:
    value = usage.get(name)
    counted = isinstance(value, int) and not isinstance(value, bool) and least <= value <= _MOST_TOKENS
    return value if counted else None
