"""One OpenAI-compatible endpoint: sending a chat completion, and saying what a failure means."""

import asyncio
import ipaddress
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import openai

from components.instructions.endpoint.http_client import CONNECTIONS, BoundedAsyncClient
from components.instructions.endpoint.reply_reader import EndpointRefusedError, ReplyReader
from components.instructions.reply import Reply, SendFailure
from components.parameters.instructions import PurchaseParameters


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


def is_on_this_machine(url: str) -> bool:
    """Whether an address is of this machine, so that no proxy of the environment can know it."""
    host = (urlsplit(url).hostname or "").lower()
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


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
            send_key: the same for two sends of the same body of which the first was not replied to, so that an endpoint
                or a gateway that knows `Idempotency-Key` charges one of them.
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
            detail = "no complete reply within purchase.timeout_seconds"
            return SendFailure("unknown", "timeout", detail, arrived="nothing")
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
        http_client=BoundedAsyncClient(trust_env=not is_on_this_machine(parameters.base_url), limits=CONNECTIONS),
    ) as client:
        reader = ReplyReader(parameters.base_url, key)
        yield Endpoint(client, reader, timeout_seconds=parameters.timeout_seconds)
