"""One page or file from a public web server: each connection goes to an address that was checked, and to no other."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urljoin, urlsplit

import httpcore2

from memorag_core.concurrency.cancellation import raise_if_cancelled
from memorag_core.errors import InputError, quote_name
from memorag_core.ingest.encodings import web_encodings
from memorag_core.ingest.formats import FORMATS, HTML, PLAIN, format_of
from memorag_core.ingest.url import WebAddress, is_public, parse_url

MAX_REDIRECTS = 5
MAX_SECONDS = 60.0
REDIRECTS = {301, 302, 303, 307, 308}
LONGEST_SIZE = 20
UNNAMED = {"application/octet-stream", "binary/octet-stream"}
FAILURES = (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError, OSError)

Connect = Callable[[str, int, float], httpcore2.NetworkStream]


@dataclass(frozen=True, slots=True)
class Page:
    """What was fetched: where it was in the end, a name for it, and the suffix of its format."""

    url: str
    name: str
    suffix: str


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a host, as the operating system resolves it, odd forms of numbers too."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def connect(address: str, port: int, seconds: float) -> httpcore2.NetworkStream:
    """A connection to an IP address."""
    return httpcore2.SyncBackend().connect_tcp(address, port, timeout=seconds)


@dataclass(frozen=True)
class Web:
    """How the web is reached, and for how long at most; proxies that the environment names are not used."""

    resolve: Callable[[str, int], list[str]] = resolve
    connect: Connect = connect
    seconds: float = MAX_SECONDS

    def fetch(self, url: str, into: Path, limit: int) -> Page:
        """Write what is at a URL to a file, following redirects, each checked like the first.

        Raises:
            InputError: it leads where it may not, is not there, too large, too slow, or of a kind that is not read.
        """
        backend = _Checked(self, time.monotonic() + self.seconds)
        try:
            with httpcore2.ConnectionPool(network_backend=backend) as pool:
                for _ in range(MAX_REDIRECTS + 1):
                    with _ask(pool, parse_url(url)) as response:
                        if response.status not in REDIRECTS:
                            return _save(response, url, into, limit)
                        url = _follow(url, _header(response, "location"))
        except FAILURES as error:
            raise InputError(
                f"{quote_name(url)} could not be fetched ({quote_name(error or type(error).__name__)}). Check it."
            ) from error
        raise InputError(f"{quote_name(url)} redirects more than {MAX_REDIRECTS} times. Give the URL it leads to.")


class _Checked(httpcore2.NetworkBackend):
    """Resolves once, checks every address, connects to what it checked; all within one deadline."""

    def __init__(self, web: Web, deadline: float) -> None:
        self._web, self._deadline = web, deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first address that answers.

        Raises:
            InputError: an address is not public.
        """
        addresses = self._web.resolve(host, port)
        for address in addresses:
            if not is_public(address):
                raise InputError(
                    f"{quote_name(host)} is at {address}, which is not an address of the public web; only those may be "
                    "read. Download the file yourself, and give its path."
                )
        for address in addresses:
            try:
                return _Timed(self._web.connect(address, port, left(self._deadline)), self._deadline)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if address == addresses[-1]:
                    raise
        raise httpcore2.ConnectError(f"{host} has no address")


class _Timed(httpcore2.NetworkStream):
    """A connection that ends at a deadline, however slowly the other side drips, and when the work is stopped."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: float) -> None:
        self._stream, self._deadline = stream, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, left(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        secured = self._stream.start_tls(ssl_context, server_hostname, left(self._deadline))
        return _Timed(secured, self._deadline)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


def left(deadline: float) -> float:
    """Seconds until a deadline.

    Raises:
        TimeoutException: there are none.
        Cancelled: the work was stopped.
    """
    raise_if_cancelled()
    if (seconds := deadline - time.monotonic()) <= 0:
        raise httpcore2.ReadTimeout("it took too long")
    return seconds


def _follow(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise InputError(
            f"{quote_name(url)} redirects to what is no URL ({quote_name(error)}). Give the URL of the page itself."
        ) from error


def _ask(pool: httpcore2.ConnectionPool, address: WebAddress) -> AbstractContextManager[httpcore2.Response]:
    url = httpcore2.URL(
        scheme=address.scheme.encode(), host=address.host.encode(), port=address.port, target=address.target.encode()
    )
    headers = [("Host", address.header), ("User-Agent", "memorag-mcp"), ("Accept-Encoding", "identity")]
    return pool.stream("GET", url, headers=headers)


def _save(response: httpcore2.Response, url: str, into: Path, limit: int) -> Page:
    """The body in a file, as UTF-8 where its text is of another encoding and the server says which."""
    if response.status != 200:
        raise InputError(f"{quote_name(url)} could not be fetched: the server answered {response.status}. Check it.")
    if (coding := _header(response, "content-encoding")) not in {"", "identity"}:
        raise InputError(
            f"{quote_name(url)} is served compressed ({quote_name(coding)}) though that was not asked for. "
            "Download it yourself."
        )
    suffix, charset = _kind(response, url)
    announced = _header(response, "content-length")
    sizes = [int(announced)] if announced.isdecimal() and len(announced) < LONGEST_SIZE else []
    with into.open("wb") as file:
        format_of(suffix).check_bytes(sum(sizes), url, limit)
        for part in response.iter_stream():
            file.write(part)
            format_of(suffix).check_bytes(file.tell(), url, limit)
    if charset and format_of(suffix) in {PLAIN, HTML}:
        _make_utf8(into, charset)
    path = PurePosixPath(unquote(urlsplit(url).path))
    return Page(url, path.stem or urlsplit(url).hostname or "page", suffix)


def _kind(response: httpcore2.Response, url: str) -> tuple[str, str | None]:
    """The suffix of the format that a response is of, and its character set, where told."""
    header = Message()
    header["Content-Type"] = _header(response, "content-type") or "application/octet-stream"
    media_type = header.get_content_type()
    named = PurePosixPath(unquote(urlsplit(url).path)).suffix.lower()
    if media_type in UNNAMED and named in FORMATS:
        return named, None
    suffix = next((suffix for suffix, kind in FORMATS.items() if media_type in kind.media_types), None)
    if suffix is None and media_type.startswith("text/"):
        suffix = ".txt"
    if suffix is None:
        raise InputError(
            f"{quote_name(url)} is of a kind that is not read ({quote_name(media_type)}). Give a page, a text or a "
            "document."
        )
    return suffix, header.get_content_charset()


def _make_utf8(file: Path, charset: str) -> None:
    data = file.read_bytes()
    for encoding in web_encodings(charset):
        try:
            text = data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue  # the server is wrong; the reader tells by looking
        file.write_bytes(text.encode(errors="replace"))
        return


def _header(response: httpcore2.Response, name: str) -> str:
    values = [value for key, value in response.headers if key.decode("latin-1").lower() == name]
    return values[0].decode("latin-1") if values else ""
