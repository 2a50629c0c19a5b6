"""Clients for HTTP that read no more of a reply than a reply can have, however small it is compressed."""

from typing import Any

import httpx2

# A chat completion has kilobytes, with a probability for every token megabytes.
LONGEST_REPLY_BYTES = 16 * 1024 * 1024
# The results of a batch: of 10,000 requests a hundred kilobytes each.
LONGEST_FILE_BYTES = 1024**3
_REDIRECTS = 20  # as httpx2 allows
# As many as `purchase.concurrency` may ask for.
CONNECTIONS = httpx2.Limits(max_connections=1000, max_keepalive_connections=100)
# Of the body as it was sent, which is not as it is kept.
_OF_THE_TRANSFER = ("content-encoding", "content-length", "transfer-encoding")


class BoundedAsyncClient(httpx2.AsyncClient):
    """Reads replies of at most `LONGEST_REPLY_BYTES`, and none of one that redirects."""

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send a request and read its reply.

        Raises:
            httpx2.DecodingError: the reply is longer, or compressed more than once.
        """
        options |= {"stream": True, "follow_redirects": False}
        response = await super().send(request, **options)
        for _ in range(_REDIRECTS):
            if response.next_request is None:
                break
            await response.aclose()
            response = await super().send(response.next_request, **options)
        try:
            parts = _Parts(response, LONGEST_REPLY_BYTES)
            async for part in response.aiter_bytes():
                parts.add(part)
        finally:
            await response.aclose()
        return parts.whole()


class BoundedClient(httpx2.Client):
    """The same, of `LONGEST_FILE_BYTES`."""

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """Send a request and read its reply; see `BoundedAsyncClient.send`."""
        options |= {"stream": True, "follow_redirects": False}
        response = super().send(request, **options)
        for _ in range(_REDIRECTS):
            if response.next_request is None:
                break
            response.close()
            response = super().send(response.next_request, **options)
        try:
            parts = _Parts(response, LONGEST_FILE_BYTES)
            for part in response.iter_bytes():
                parts.add(part)
        finally:
            response.close()
        return parts.whole()


class _Parts:
    """A body that is put together until it is too long."""

    def __init__(self, response: httpx2.Response, limit: int) -> None:
        self._response = response
        self._left = limit
        self._limit = limit
        self._parts: list[bytes] = []
        if "," in response.headers.get("content-encoding", ""):  # each may make a thousand bytes of one
            raise httpx2.DecodingError("the reply is compressed more than once", request=response.request)

    def add(self, part: bytes) -> None:
        self._left -= len(part)
        if self._left < 0:
            raise httpx2.DecodingError(
                f"the reply has more than {self._limit:,} bytes when decompressed", request=self._response.request
            )
        self._parts.append(part)

    def whole(self) -> httpx2.Response:
        headers = httpx2.Headers(self._response.headers)
        for name in _OF_THE_TRANSFER:
            headers.pop(name, None)
        return httpx2.Response(
            self._response.status_code,
            headers=headers,
            content=b"".join(self._parts),
            request=self._response.request,
            extensions=self._response.extensions,
        )
