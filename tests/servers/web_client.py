"""A client of an application in this process, without a socket between the two."""

from collections.abc import Mapping

import anyio
import httpx
from fastapi import FastAPI


class WebClient:
    """Asks one application; faults of its own become the answer that a browser would get."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    def request(
        self, method: str, path: str, *, content: bytes = b"",
        headers: Mapping[str, str] | Mapping[bytes, bytes] | None = None,
    ) -> httpx.Response:  # fmt: skip
        """Send one request."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, content=content, headers=headers)

        return anyio.run(ask)

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Send a GET; the headers' names have no hyphens."""
        return self.request("GET", path, headers=headers)

    def post(
        self, path: str, content: bytes, headers: Mapping[str, str] | Mapping[bytes, bytes]
    ) -> httpx.Response:
        """Send a POST."""
        return self.request("POST", path, content=content, headers=headers)
