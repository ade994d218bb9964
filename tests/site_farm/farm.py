"""The farm's server: many sites behind one address, told apart by the name that was asked for.

It speaks raw HTTP, so that a site can break the protocol. Beside it stands a trap: whoever connects to it has been
led out of the farm.
"""

import asyncio
import socket
import ssl
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from infrastructure.sites.addresses import is_public

_OPENSSL = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=farm -days 2"

Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]
"""What a path of a site answers: bytes, or whatever a function does with the connection."""


def response(body: bytes | str, status: int = 200, kind: str = "text/html; charset=utf-8", **headers: str) -> bytes:
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {kind}", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode() + content


def redirect(to: str, status: int = 302) -> bytes:
    return response("", status, Location=to)


def page(title: str = "", description: str = "", head: str = "") -> str:
    described = f'<meta name="description" content="{description}">' if description else ""
    return f"<!doctype html><html><head><title>{title}</title>{described}{head}</head><body>…</body></html>"


class Farm:
    """`sites` are the paths of each host. `addresses` are what its name server answers for hosts that lie."""

    def __init__(self, told: Callable[[str, str], object] = lambda host, path: None) -> None:
        self._told = told
        self.sites: dict[str, dict[str, Answer]] = {}
        self.addresses: dict[str, list[list[str]]] = {}
        """For each host the answers of the name server in their order; the last one stays."""
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.allowed: set[tuple[str, int]] = set()
        self.trapped: list[Any] = []
        self.place = ("", 0)
        self.trap = ("", 0)

    def add(self, host: str, front: Answer, **paths: Answer) -> None:
        """A site without robots.txt, unless `robots` is given; other names are those of paths."""
        named = {f"/{name}.txt" if name == "robots" else f"/{name}": answer for name, answer in paths.items()}
        self.sites[host] = {"/": front, **named}

    def asked(self, path: str = "/") -> Counter[str]:
        return Counter(host for host, at, _ in self.requests if at == path)

    def may_connect(self, host: str, port: int) -> bool:
        """As the product does, but for the farm, which is not public."""
        allowed = (host, port) == self.place or is_public(host, port)
        if allowed:
            self.allowed.add((host, port))
        return allowed

    @asynccontextmanager
    async def open(self, tls: ssl.SSLContext, port: int = 0) -> AsyncIterator["Farm"]:
        farm = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=tls)
        trap = await asyncio.start_server(self._catch, "127.0.0.1", 0)
        self.place, self.trap = farm.sockets[0].getsockname()[:2], trap.sockets[0].getsockname()[:2]
        try:
            yield self
        finally:
            farm.close()
            trap.close()

    async def _catch(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.trapped.append(writer.get_extra_info("peername"))
        self._told("TRAP", "")
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            path = head[0].split(" ")[1]
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            host = headers["host"].encode().decode("idna")
            self.requests.append((host, path, headers))
            self._told(host, path)
            answer = self.sites.get(host, {}).get(path, response("", 404))
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
            else:
                await answer(writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # cancelled at the end of the test: there is nobody to tell
        finally:
            writer.transport.abort()


class FarmResolver(AbstractResolver):
    """The farm's name server. A host that lies is looked up anew each time."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        lies = self._farm.addresses.get(host.encode().decode("idna"))
        if lies is None:
            return [_resolved(host, *self._farm.place)]
        addresses = lies.pop(0) if len(lies) > 1 else lies[0]
        return [_resolved(host, each, self._farm.place[1] if each == "farm" else port) for each in addresses]

    async def close(self) -> None:
        return


def _resolved(host: str, address: str, port: int) -> ResolveResult:
    address = "127.0.0.1" if address == "farm" else address
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for any site, and its key."""
    paths = folder / "farm.pem", folder / "farm.key"
    try:
        subprocess.run(
            [*_OPENSSL.split(), "-out", str(paths[0]), "-keyout", str(paths[1])], capture_output=True, check=True
        )
    except FileNotFoundError:
        pytest.skip("there is no openssl on PATH to make a certificate with")
    return paths


def server_tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def client_tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificate[0]))
    context.check_hostname = False
    return context
