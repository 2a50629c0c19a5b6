"""Clients for HTTP that read no more of a reply than a reply can have, however small it is compressed."""

from typing import Any

import httpx
import openai

# A chat completion has kilobytes, with a probability for every token megabytes.
LONGEST_REPLY_BYTES = 16 * 1024 * 1024
# The results of a batch: of 10,000 requests a hundred kilobytes each.
LONGEST_FILE_BYTES = 1024**3
_REDIRECTS = 20  # as httpx
# Of the body as it was sent, which is not as it is kept.
_OF_THE_TRANSFER = ("content-encoding", "content-length", "transfer-encoding")


class BoundedAsyncClient(openai.DefaultAsyncHttpxClient):
    """Reads replies of at most `LONGEST_REPLY_BYTES`, and none of one that redirects."""

    async def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
        """Send a request and read its reply.

        Raises:
            httpx.DecodingError: the reply is longer, or compressed more than once.
        """
        del stream  # nothing here is read in pieces
        options["follow_redirects"] = False
        response = await super().send(request, stream=True, **options)
        for _ in range(_REDIRECTS):
            if response.next_request is None:
                break
            await response.aclose()
            response = await super().send(response.next_request, stream=True, **options)
        try:
            parts = _Parts(response, LONGEST_REPLY_BYTES)
            async for part in response.aiter_bytes():
                parts.add(part)
        finally:
            await response.aclose()
        return parts.whole()


class BoundedClient(openai.DefaultHttpxClient):
    """The same, of `LONGEST_FILE_BYTES`."""

    def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
        """Send a request and read its reply; see `BoundedAsyncClient.send`."""
        del stream
        options["follow_redirects"] = False
        response = super().send(request, stream=True, **options)
        for _ in range(_REDIRECTS):
            if response.next_request is None:
                break
            response.close()
            response = super().send(response.next_request, stream=True, **options)
        try:
            parts = _Parts(response, LONGEST_FILE_BYTES)
            for part in response.iter_bytes():
                parts.add(part)
        finally:
            response.close()
        return parts.whole()


class _Parts:
    """A body that is put together until it is too long."""

    def __init__(self, response: httpx.Response, limit: int) -> None:
        self._response = response
        self._left = limit
        self._limit = limit
        self._parts: list[bytes] = []
        if "," in response.headers.get("content-encoding", ""):  # each may make a thousand bytes of one
            raise httpx.DecodingError("the reply is compressed more than once", request=response.request)

    def add(self, part: bytes) -> None:
        self._left -= len(part)
        if self._left < 0:
            raise httpx.DecodingError(
                f"the reply has more than {self._limit:,} bytes when decompressed", request=self._response.request
            )
        self._parts.append(part)

    def whole(self) -> httpx.Response:
        headers = httpx.Headers(self._response.headers)
        for name in _OF_THE_TRANSFER:
            headers.pop(name, None)
        return httpx.Response(
            self._response.status_code,
            headers=headers,
            content=b"".join(self._parts),
            request=self._response.request,
            extensions=self._response.extensions,
        )
