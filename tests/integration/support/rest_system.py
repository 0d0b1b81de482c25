"""The REST face of a real gateway on a real socket, and a caller who speaks plain HTTP."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from gateway.rest.server import serve_rest
from tests.integration.support.gateway_system import GatewaySystem, gateway_system
from tests.patience import PATIENCE

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def reason(self) -> str:
        """Of the one ErrorInfo that every refusal carries."""
        infos = [detail for detail in self.json["error"]["details"] if detail["@type"].endswith("rpc.ErrorInfo")]
        assert len(infos) == 1, self.text
        assert infos[0]["domain"] == "ordinaut"
        return str(infos[0]["reason"])

    @property
    def violations(self) -> dict[str, str]:
        """The reason of each violation by its field."""
        found = [detail for detail in self.json["error"]["details"] if detail["@type"].endswith("rpc.BadRequest")]
        return {item["field"]: item["reason"] for detail in found for item in detail["field_violations"]}


@dataclass
class RestSystem:
    """A gateway with its REST face; calls show the admin's token unless told otherwise."""

    grpc: GatewaySystem
    base: str
    http: aiohttp.ClientSession

    @property
    def port(self) -> int:
        return int(self.base.rpartition(":")[2])

    async def call(
        self,
        verb: str,
        path: str,
        document: Any = None,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> Answer:
        """One request; `path` goes out as it is written."""
        shown = {"authorization": f"Bearer {self.grpc.admin.token if token is None else token}"}
        if document is not None:
            data = json.dumps(document).encode()
            shown |= JSON
        body = data if data is None else io.BytesIO(data)
        url = URL(self.base + path, encoded=True)
        options: Any = {"timeout": aiohttp.ClientTimeout(PATIENCE), "skip_auto_headers": ["Content-Type"]}
        sent = {**shown, **(headers or {})}
        async with self.http.request(verb, url, data=body, headers=sent, **options) as answer:
            return Answer(answer.status, answer.headers, await answer.text())

    async def raw(self, data: bytes, seconds: float = PATIENCE) -> bytes:
        """Whatever comes back on a connection that `data` is written to, until the server closes it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            await writer.drain()
            async with asyncio.timeout(seconds):
                return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def rest_system(database_url: str, **more: Any) -> AsyncIterator[RestSystem]:
    """Everything started on free ports, and stopped at the end."""
    async with gateway_system(database_url, **more) as system:
        server = serve_rest(system.gateway, "127.0.0.1:0")
        async with server as port, _session() as http:
            yield RestSystem(system, f"http://127.0.0.1:{port}", http)


def _session() -> aiohttp.ClientSession:
    """Forgets an idle connection before the gateway, after five seconds, closes it: a request would meet its end."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(keepalive_timeout=1.0))


TASK = {"pipeline": {"steps": [{"id": "a", "uses": "orchestrator.set", "with": {"x": 1}}]}}
