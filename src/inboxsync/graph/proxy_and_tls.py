"""The proxy and the certificate authorities that the environment names.

The variables are those that curl and Python's other HTTP clients read.
"""

import os
import re
import ssl
import sys
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies

from yarl import URL

from inboxsync.errors import SettingsInvalid

# Where systems keep their certificate authorities, for a Python that was built on another system.
_BUNDLES = (
    "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/cert.pem",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/ca-bundle.pem",
)
_HASHED_NAME = re.compile(r"[0-9a-fA-F]{8}\.\d")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """Its address, and the headers with its password, which are in no `repr`."""

    url: URL
    headers: dict[str, str] = field(default_factory=dict, repr=False)


def environment_proxy(scheme: str, host: str, port: int | None) -> Proxy | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names for this address, unless NO_PROXY exempts it.

    Raises SettingsInvalid for a proxy that cannot be used.
    """
    named = getproxies()
    exempt = [entry.strip() for entry in named.get("no", "").split(",")]
    if any(entry and _is_exempt(entry, scheme, host, port) for entry in exempt):
        return None
    found = named.get(scheme) or named.get("all")
    return _proxy(found if "://" in found else f"http://{found}") if found else None


def _proxy(address: str) -> Proxy:
    try:
        url = URL(address)
    except ValueError:
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        # Not quoted: it may hold a password.
        raise SettingsInvalid(
            "The proxy that the environment names is not an HTTP proxy.",
            hint="Set HTTPS_PROXY to one such as http://proxy.example:3128, or unset it and ALL_PROXY.",
        )
    if url.user is None:
        return Proxy(url=url)
    credentials = b64encode(f"{url.user}:{url.password or ''}".encode()).decode()
    return Proxy(url=url.with_user(None), headers={"Proxy-Authorization": f"Basic {credentials}"})


def _is_exempt(entry: str, scheme: str, host: str, port: int | None) -> bool:
    """An address, a network, a name and all below it, `.name` for only those below; `*` is all."""
    if entry == "*":
        return True
    with suppress(ValueError):
        return ip_address(host) in ip_network(entry.removeprefix("[").removesuffix("]"), strict=False)
    named = _split(entry if "://" in entry else f"//{entry}")
    if named is None or (named.scheme not in ("", "all", scheme)) or named.port not in (None, port):
        return False
    name = (named.hostname or "").removeprefix("*")
    if name.startswith("."):
        return host.lower().endswith(name)
    has_more_below = not named.scheme and name != "localhost"
    return host.lower() == name or (has_more_below and bool(name) and host.lower().endswith(f".{name}"))


def _split(address: str) -> SplitResult | None:
    with suppress(ValueError):
        split = urlsplit(address)
        _ = split.port  # raises only when it is read
        return split
    return None


def trusted_authorities() -> ssl.SSLContext:
    """Trusts the authorities of SSL_CERT_FILE, else of SSL_CERT_DIR, else those of the system."""
    if file := os.environ.get("SSL_CERT_FILE"):
        context = ssl.create_default_context(cafile=file)
    elif folder := os.environ.get("SSL_CERT_DIR"):
        context = ssl.create_default_context(capath=folder)
    elif sys.platform in ("win32", "darwin"):
        import truststore  # noqa: PLC0415 - it is installed only on these systems

        context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        file, folder = _system_bundle()
        if file or folder:
            context.load_verify_locations(file, folder)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _system_bundle() -> tuple[str | None, str | None]:
    """The file and the folder that this Python was built to trust, else the system's usual file."""
    built = ssl.get_default_verify_paths()
    file = built.openssl_cafile if Path(built.openssl_cafile).is_file() else None
    folder = built.openssl_capath if Path(built.openssl_capath).is_dir() else None
    if folder and not file and not any(_HASHED_NAME.fullmatch(each.name) for each in Path(folder).iterdir()):
        folder = None
    if not file and not folder:
        file = next((each for each in _BUNDLES if Path(each).is_file()), None)
    return file, folder
