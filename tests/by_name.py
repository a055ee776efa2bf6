"""Anthropic by its own names, on loopback: for a CLI that has no base URL, as people run it.

In: a stand-in, which answers the messages. Out: the variables that make a CLI come here (a proxy that takes every
name, and a certificate authority of its own), and each method, host and path that was asked for. No name is looked
up, and nothing leaves this machine. Logins are renewed here as Anthropic does it: each refresh token holds once.
`cryptography`, which makes the certificates, comes with `mcp`.
"""

import json
import ssl
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.streams.tls import TLSStream
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from claude_max_mcp.front.listener import bind, listening
from claude_max_mcp.standin import StandIn

NAMES = ("api.anthropic.com", "platform.claude.com", "claude.ai", "claude.com")

GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, ssl.SSLError)
"""What a connection says that the other side has closed."""


@dataclass
class ByName:
    """The ASGI application behind all names."""

    standin: StandIn
    asked: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    """Method, host and path of every request."""
    variables: dict[str, str] = field(default_factory=dict[str, str])
    """What a CLI's environment needs to come here."""
    used: set[str] = field(default_factory=set[str])
    """The refresh tokens that hold no more."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.asked.append((request.method, request.headers["host"], request.url.path))
        if request.url.path == "/v1/oauth/token":
            await (await self._renew(request))(scope, receive, send)
        else:
            await self.standin(scope, receive, send)

    async def _renew(self, request: Request) -> JSONResponse:
        token = str((await request.json())["refresh_token"])
        if token in self.used:
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        self.used.add(token)
        number = int(token.rpartition("-")[2]) + 1
        renewed = {"access_token": f"sk-ant-oat01-{number}", "refresh_token": f"sk-ant-ort01-{number}"}
        return JSONResponse({**renewed, "token_type": "Bearer", "expires_in": 28800, "scope": "user:inference"})


@asynccontextmanager
async def answering_by_name(standin: StandIn, folder: Path) -> AsyncGenerator[ByName]:
    """Serve all names for the length of a block; certificates are written into `folder`."""
    application, context = ByName(standin), make_certificates(folder)
    plain = bind("127.0.0.1", 0)
    target = plain.getsockname()[1]
    proxy = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)

    async def connect(client: SocketStream) -> None:
        with suppress(*GONE):
            await _pass_through(client, context, target)

    async with listening(application, plain, grace=1, log_level="critical"), proxy, anyio.create_task_group() as tasks:
        tasks.start_soon(proxy.serve, connect)
        port = proxy.extra(SocketAttribute.local_port)
        application.variables = {
            "HTTPS_PROXY": f"http://127.0.0.1:{port}",
            "NODE_EXTRA_CA_CERTS": str(folder / "authority.pem"),
        }
        yield application
        tasks.cancel_scope.cancel()


async def _pass_through(client: SocketStream, context: ssl.SSLContext, target: int) -> None:
    """Take a CONNECT, whatever name it asks for, speak TLS, and pass on what is inside."""
    async with client:
        head = b""
        while b"\r\n\r\n" not in head:
            head += await client.receive()
        await client.send(b"HTTP/1.1 200 OK\r\n\r\n")
        inside = await TLSStream.wrap(client, server_side=True, ssl_context=context, standard_compatible=False)
        async with inside, await anyio.connect_tcp("127.0.0.1", target) as server, anyio.create_task_group() as tasks:
            tasks.start_soon(_pump, inside, server)
            await _pump(server, inside)
            tasks.cancel_scope.cancel()


async def _pump(source: ByteStream, sink: ByteStream) -> None:
    with suppress(*GONE):
        async for data in source:
            await sink.send(data)


def make_certificates(folder: Path) -> ssl.SSLContext:
    """An authority, written to `authority.pem`, and a context with a certificate of its for all names."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = _make_certificate("authority", authority_key.public_key(), "authority", authority_key)
    leaf = _make_certificate("names", key.public_key(), "authority", authority_key, NAMES)
    (folder / "authority.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "names.pem").write_bytes(private + leaf.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "names.pem")
    return context


def _make_certificate(
    subject: str,
    key: ec.EllipticCurvePublicKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    names: tuple[str, ...] = (),
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=not names, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(map(x509.DNSName, names)), critical=False)
    return builder.sign(signer, hashes.SHA256())


def store_login(folder: Path, *, expired: bool) -> None:
    """Leave an invented login that can be renewed where the CLI's own dialogue would."""
    until = round((time.time() + (-60 if expired else 28800)) * 1000)
    login = {"accessToken": "sk-ant-oat01-0", "refreshToken": "sk-ant-ort01-0", "expiresAt": until}
    scopes = ["user:inference", "user:profile"]
    folder.mkdir(exist_ok=True)
    kept = {"claudeAiOauth": {**login, "scopes": scopes, "subscriptionType": "max"}}
    (folder / ".credentials.json").write_text(json.dumps(kept))
