"""The environment's proxies and certificate authorities, with real proxies and real TLS."""

import asyncio
import base64
import datetime as dt
import ipaddress
import ssl
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from yarl import URL

from inboxsync.errors import SettingsInvalid
from inboxsync.graph.errors import FaultError
from inboxsync.graph.proxy_and_tls import environment_proxy
from inboxsync.graph.transport import Received, open_transport
from tests.graph.fixtures import Script, StartPlayed

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*NAMES, *(each.lower() for each in NAMES), "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC"):
        monkeypatch.delenv(name, raising=False)


class Get(Protocol):
    """The fixture `get`: the answer of a source at this address."""

    def __call__(self, url: str, *, timeout_seconds: float = 30) -> Received: ...


@pytest.fixture
def get() -> Get:
    def run(url: str, *, timeout_seconds: float = 30) -> Received:
        async def go() -> Received:
            async with open_transport(url, timeout_seconds=timeout_seconds) as transport:
                return await transport.get("x", params={"a": "b/c"}, token="EAAours", sent=lambda: None)

        return asyncio.run(go())

    return run


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    pem, format_ = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(made.public_bytes(pem) + key.private_bytes(pem, format_, serialization.NoEncryption()))
    return path


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.mark.parametrize(
    ("exempt", "address", "is_proxied"),
    [
        ("", "https://graph.facebook.com", True),
        ("*", "https://graph.facebook.com", False),
        ("other.example, facebook.com", "https://graph.facebook.com", False),
        ("facebook.com", "https://facebook.com", False),
        ("facebook.com", "https://notfacebook.com", True),
        (".facebook.com", "https://graph.facebook.com", False),
        (".facebook.com", "https://facebook.com", True),
        ("*.facebook.com", "https://graph.facebook.com", False),
        ("GRAPH.FACEBOOK.COM", "https://graph.facebook.com", False),
        ("graph.facebook.com:443", "https://graph.facebook.com", False),
        ("graph.facebook.com:8443", "https://graph.facebook.com", True),
        ("https://graph.facebook.com", "https://graph.facebook.com", False),
        ("http://graph.facebook.com", "https://graph.facebook.com", True),
        ("10.0.0.0/8", "https://10.1.2.3", False),
        ("10.0.0.0/8", "https://11.1.2.3", True),
        ("127.0.0.1:8080", "http://127.0.0.1:8080", False),
        ("127.0.0.1:8080", "http://127.0.0.1:8081", True),
        ("::1", "https://[::1]:8443", False),
        ("[::1]:8443", "https://[::1]:8443", False),
        ("localhost", "http://localhost:8080", False),
        ("localhost", "https://sub.localhost", True),
        ("[, x:99999, /", "https://graph.facebook.com", True),
    ],
)
def test_no_proxy_exempts_what_it_names(
    monkeypatch: pytest.MonkeyPatch, exempt: str, address: str, is_proxied: bool
) -> None:
    monkeypatch.setenv("ALL_PROXY", "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", exempt)
    url = URL(address)
    proxy = environment_proxy(url.scheme, url.host or "", url.port)
    assert (str(proxy.url) if proxy else None) == ("http://proxy.example:3128" if is_proxied else None)


def test_the_proxy_of_the_scheme_comes_before_the_one_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://all.example:1")
    monkeypatch.setenv("HTTPS_PROXY", "http://us%40er:pa%3Ass@tls.example:2")
    tls = environment_proxy("https", "graph.facebook.com", 443)
    plain = environment_proxy("http", "localhost", 8080)
    assert tls is not None
    assert plain is not None
    assert (str(tls.url), str(plain.url)) == ("http://tls.example:2", "http://all.example:1")
    credentials = base64.b64encode(b"us@er:pa:ss").decode()
    assert tls.headers == {"Proxy-Authorization": f"Basic {credentials}"}
    assert plain.headers == {}
    assert credentials not in repr(tls)


@pytest.mark.parametrize(
    "address", ["socks5://secret@proxy.example:1", "ftp://secret@x", "http://", "http://[secret"]
)
def test_a_proxy_that_cannot_be_used_is_reported(
    monkeypatch: pytest.MonkeyPatch, get: Get, address: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", address)
    with pytest.raises(SettingsInvalid) as caught:
        get("http://127.0.0.1:1")
    assert "secret" not in f"{caught.value} {caught.value.hint}"


def test_a_plain_request_goes_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch, played: StartPlayed, get: Get
) -> None:
    proxy = played([OK])
    monkeypatch.setenv("HTTP_PROXY", f"http://me:secret@127.0.0.1:{proxy.port}")
    assert get("http://127.0.0.1:9/v25.0").status == 200
    (request,) = proxy.requests
    assert request.startswith(b"GET http://127.0.0.1:9/v25.0/x?a=b%2Fc HTTP/1.1\r\n")
    assert b"Authorization: Bearer EAAours\r\n" in request
    assert b"Proxy-Authorization: Basic bWU6c2VjcmV0\r\n" in request


def test_a_proxy_that_is_not_there_is_no_answer(monkeypatch: pytest.MonkeyPatch, get: Get) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://me:secret@127.0.0.1:1")
    with pytest.raises(FaultError, match="the proxy cannot be reached") as caught:
        get("http://127.0.0.1:9")
    assert not caught.value.fault.is_answered
    assert "secret" not in str(caught.value)


REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "is_answered"), [([REFUSED], False), (["hold"], False), (["close"], True)]
)
def test_a_proxy_that_leads_nowhere_is_no_answer(
    monkeypatch: pytest.MonkeyPatch, played: StartPlayed, get: Get, answer: Script, is_answered: bool
) -> None:
    monkeypatch.setattr("inboxsync.graph.transport._CONNECT_SECONDS", 0.2)
    proxy = played(answer)
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret@127.0.0.1:{proxy.port}")
    with pytest.raises(FaultError) as caught:
        get("https://graph.facebook.com/v25.0", timeout_seconds=0.2)
    assert caught.value.fault.is_answered is is_answered
    (request,) = proxy.requests
    assert request.startswith(b"CONNECT graph.facebook.com:443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic bWU6c2VjcmV0\r\n" in request
    assert b"EAAours" not in request


class Tunnel:
    """A proxy that connects everyone to one place, whatever place they name."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_pass_on(reader, to_writer), _pass_on(to_reader, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while got := await reader.read(65536):
            writer.write(got)
    writer.close()


@pytest.mark.parametrize("has_tls", [False, True])
def test_the_source_is_asked_through_a_tunnel_that_learns_nothing(
    monkeypatch: pytest.MonkeyPatch,
    played: StartPlayed,
    tls: ssl.SSLContext,
    certificate: Path,
    has_tls: bool,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    origin = played([OK], tls=tls)
    tunnel = Tunnel(origin.port)

    async def go() -> None:
        server = await asyncio.start_server(tunnel, "127.0.0.1", 0, ssl=tls if has_tls else None)
        proxy = f"{'https' if has_tls else 'http'}://me:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}"
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        async with server, open_transport(origin.url, timeout_seconds=30) as transport:
            for _ in range(2):
                assert (await transport.get("x", params={}, token="EAAours", sent=lambda: None)).status == 200

    asyncio.run(go())
    (asked,) = tunnel.asked
    assert b"Proxy-Authorization: Basic bWU6c2VjcmV0\r\n" in asked
    assert b"EAAours" not in asked
    assert len(origin.requests) == 2
    assert not any(b"roxy-" in request for request in origin.requests)


@pytest.mark.parametrize("machine", ["machine 127.0.0.1", "default"])
def test_netrc_neither_replaces_nor_forbids_our_token(
    monkeypatch: pytest.MonkeyPatch, played: StartPlayed, get: Get, tmp_path: Path, machine: str
) -> None:
    (tmp_path / ".netrc").write_text(f"{machine} login somebody password else\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    server = played([OK])
    assert get(server.url).status == 200
    assert server.requests[0].count(b"uthorization:") == 1
    assert b"Authorization: Bearer EAAours\r\n" in server.requests[0]


def test_a_self_signed_certificate_is_trusted_only_if_the_environment_says_so(
    monkeypatch: pytest.MonkeyPatch, played: StartPlayed, get: Get, tls: ssl.SSLContext, certificate: Path
) -> None:
    server = played([OK], tls=tls)
    with pytest.raises(FaultError, match="certificate verify failed") as caught:
        get(server.url)
    assert not caught.value.fault.is_answered
    assert server.requests == []
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert get(server.url).body == b"{}"


def test_a_folder_of_authorities_is_read(
    monkeypatch: pytest.MonkeyPatch, played: StartPlayed, get: Get, tls: ssl.SSLContext, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    with pytest.raises(FaultError, match="certificate verify failed"):
        get(played([OK], tls=tls).url)


def test_a_server_without_tls_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch, played: StartPlayed, get: Get
) -> None:
    monkeypatch.setattr("inboxsync.graph.transport._CONNECT_SECONDS", 0.2)
    server = played([OK])
    server.url = server.url.replace("http:", "https:")
    with pytest.raises(FaultError) as caught:
        get(server.url, timeout_seconds=0.2)
    assert not caught.value.fault.is_answered


def test_kept_tls_connections_are_noticed_when_they_are_closed(
    monkeypatch: pytest.MonkeyPatch, played: StartPlayed, tls: ssl.SSLContext, certificate: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = played([OK, "close"], tls=tls)

    async def go() -> None:
        async with open_transport(server.url, timeout_seconds=30) as transport:
            for _ in range(5):
                await transport.get("x", params={}, token="T", sent=lambda: None)
                time.sleep(0.05)  # noqa: ASYNC251 - the loop sees nothing, as while an answer is decoded

    asyncio.run(go())
    assert server.connections == len(server.requests) == 5
