"""URLs are read where the user allows it, from public addresses only, whatever trick leads elsewhere."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpcore2
import pytest
from documents import write_pdf
from waits import SECONDS

from memorag_core import Document
from memorag_core.concurrency.cancellation import cancellable
from memorag_core.errors import Cancelled, InputError
from memorag_core.ingest import from_url, is_url
from memorag_core.ingest.url import is_public, parse_url
from memorag_core.ingest.web import Web, connect

LIMIT = 10_000
PUBLIC = "93.184.216.34"
PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.5.4",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1%eth0",
    "fc00::1",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "192.0.0.9",
    "192.31.196.1",
    "192.88.99.1",
    "100::1",
    "100:0:0:1::1",
    "2001:1::1",
    "2001:20::1",
    "2620:4f:8000::1",
    "3fff::1",
    "4000::1",
    "5f00::1",
]


class Site(ThreadingHTTPServer):
    """Answers each path with what the test put there: status, headers, body."""

    daemon_threads = True
    answers: dict[str, tuple[int, dict[str, str], bytes]]
    asked: list[tuple[str, str]]


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.asked.append((self.headers["Host"], self.path))
        status, headers, body = self.server.answers[self.path]
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(("127.0.0.1", 0), Handler) as server:
        server.answers, server.asked = {}, []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join(SECONDS)


class Net:
    """A web whose names all lead to `site`, by way of the address that the resolver gives for them."""

    def __init__(self, site: Site, **hosts: list[str]) -> None:
        self.site, self.hosts = site, {name.replace("_", "."): found for name, found in hosts.items()}
        self.resolved: list[str] = []
        self.connected: list[str] = []

    def resolve(self, host: str, port: int) -> list[str]:
        self.resolved.append(host)
        return self.hosts[host]

    def connect(self, address: str, port: int, seconds: float) -> httpcore2.NetworkStream:
        self.connected.append(address)
        return connect("127.0.0.1", self.site.server_port, seconds)

    def read(self, url: str, **options: Any) -> Document:
        return from_url(url, LIMIT, True, Web(self.resolve, self.connect, **options))


@pytest.fixture
def net(site: Site) -> Net:
    return Net(site, a_com=[PUBLIC], b_com=["2606:2800:220:1::1"], home_com=["127.0.0.1"])


def html(text: str) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "text/html; charset=utf-8"}, f"<title>Mill</title><p>{text}".encode()


@pytest.mark.parametrize(
    ("place", "whether"),
    [("http://a.com", True), ("file:///etc/passwd", True), ("C:\\a.txt", False), ("a/b.txt", False), ("~/a:b", False)],
)
def test_a_url_is_told_from_a_path(place: str, whether: bool) -> None:
    assert is_url(place) is whether


def test_reading_a_url_is_off_unless_it_is_allowed(net: Net) -> None:
    with pytest.raises(InputError, match=r"Reading from the web is off.*--allow-url \(or MEMORAG_ALLOW_URL=1\)"):
        from_url("http://a.com/", LIMIT, False, Web(net.resolve, net.connect))
    assert net.resolved == []


def test_a_page_is_read_from_the_address_that_was_checked(net: Net) -> None:
    net.site.answers["/the%20mill.html?a=b"] = html("Words.")
    document = net.read("http://a.com/the mill.html?a=b".replace(" ", "%20"))
    assert (document.text, document.title, document.id) == ("Words.", "Mill", "the-mill")
    assert document.source == "http://a.com/the%20mill.html?a=b"
    assert (net.resolved, net.connected, net.site.asked[0][0]) == (["a.com"], [PUBLIC], "a.com")


def test_a_pdf_from_the_web_has_its_pages(net: Net, tmp_path: Path) -> None:
    body = write_pdf(tmp_path / "a.pdf", ["One.", "Two."]).read_bytes()
    net.site.answers["/paper"] = (200, {"Content-Type": "application/pdf"}, body)
    net.site.answers["/paper.pdf"] = (200, {"Content-Type": "application/octet-stream"}, body)
    assert [len(net.read(f"http://a.com{path}").pages) for path in ("/paper", "/paper.pdf")] == [2, 2]


def test_text_is_of_the_encoding_that_the_server_says(net: Net) -> None:
    body = "Мельница у пруда".encode("koi8-r")
    net.site.answers["/a"] = (200, {"Content-Type": "text/plain; charset=koi8-r"}, body)
    document = net.read("http://a.com/a")
    assert (document.text, document.notice) == ("Мельница у пруда", "")


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_never_connected_to(net: Net, address: str) -> None:
    assert not is_public(address)
    net.hosts["evil.com"] = [PUBLIC, address]
    with pytest.raises(InputError, match=r"evil\.com is at .*, which is not an address of the public web"):
        net.read("http://evil.com/")
    assert net.connected == []


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:220:1::1", "64:ff9b::5db8:d822", "2002:5db8:d822::"])
def test_public_addresses_are_accepted_in_every_form(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0x7f000001",
        "0177.0.0.1",
        "017700000001",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "①②⑦.0.0.1",
    ],
)
def test_every_form_of_a_loopback_address_is_seen_through(site: Site, host: str) -> None:
    """The resolver is the real one: what it makes of a number in an odd form is what is checked."""
    net = Net(site)
    with pytest.raises(InputError, match=r"not an address of the public web|could not be fetched"):
        from_url(f"http://{host}:{site.server_port}/", LIMIT, True, Web(connect=net.connect))
    assert net.connected == []


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://a.com/",
        "gopher://a.com/",
        "http://",
        "http:///path",
        "http://a.com\\@home.com/",
        "http://a.com /",
        "http://a.com/\r\nHost: b.com",
        "http://user:secret@a.com/",
        "http://a.com:99999/",
        "http://[::1/",
        "http://" + "a" * 300 + ".com/",
    ],
)
def test_urls_that_are_not_plainly_of_the_web_are_refused_before_anything_is_asked(net: Net, url: str) -> None:
    with pytest.raises(InputError, match=r"fetched|password"):
        net.read(url)
    assert net.resolved == []


def test_what_is_checked_is_what_is_fetched() -> None:
    address = parse_url("http://A.com:80/a b?q=ü#part".replace(" ", "%20"))
    assert (address.host, address.port, address.target, address.header) == ("a.com", 80, "/a%20b?q=%C3%BC", "a.com")
    assert parse_url("https://bücher.de:8443").header == "xn--bcher-kva.de:8443"
    assert parse_url("https://[2606:2800:220:1::1]/").header == "[2606:2800:220:1::1]"


def test_a_redirect_to_another_public_host_is_followed_and_resolved_anew(net: Net) -> None:
    net.site.answers["/old"] = (301, {"Location": "http://b.com/new"}, b"")
    net.site.answers["/new"] = html("Moved here.")
    document = net.read("http://a.com/old")
    assert (document.text, document.source) == ("Moved here.", "http://b.com/new")
    assert (net.resolved, net.connected) == (["a.com", "b.com"], [PUBLIC, "2606:2800:220:1::1"])


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("http://home.com/secret", "not an address of the public web"),
        ("//home.com/secret", "not an address of the public web"),
        ("file:///etc/passwd", "only http:// and https:// URLs"),
        ("/loop", "redirects more than 5 times"),
        ("", "redirects more than 5 times"),
        ("http://[", "redirects to what is no URL"),
        ("//a..b/", "not a URL that can be fetched"),
        ("http://a.com:99999999999/", "not a URL that can be fetched"),
        ("http://xn--" + "a" * 70 + ".com/", "not a URL that can be fetched"),
        ("http://\u2100.com/", "not a URL|could not|redirects to what is no URL"),
    ],
)
def test_a_redirect_is_checked_like_the_first_url(net: Net, location: str, message: str) -> None:
    net.site.answers |= {"/loop": (302, {"Location": location}, b""), "/secret": html("Secret.")}
    with pytest.raises(InputError, match=message):
        net.read("http://a.com/loop")
    assert {path for _, path in net.site.asked} == {"/loop"}


def test_a_name_that_changes_its_address_is_used_at_the_one_that_was_checked(net: Net) -> None:
    answers = iter([[PUBLIC], ["127.0.0.1"]])
    web = Web(lambda host, port: next(answers), net.connect)
    net.site.answers["/"] = html("Words.")
    assert from_url("http://rebind.com/", LIMIT, True, web).text == "Words."
    assert net.connected == [PUBLIC]
    with pytest.raises(InputError, match=r"rebind\.com is at 127\.0\.0\.1"):
        from_url("http://rebind.com/", LIMIT, True, web)


def test_the_next_address_is_tried_where_one_does_not_answer(net: Net) -> None:
    def flaky(address: str, port: int, seconds: float) -> httpcore2.NetworkStream:
        if address == PUBLIC:
            raise httpcore2.ConnectError("refused")
        return net.connect(address, port, seconds)

    net.site.answers["/"] = html("Words.")
    assert from_url("http://x.com/", LIMIT, True, Web(lambda *_: [PUBLIC, "1.1.1.1"], flaky)).text == "Words."
    with pytest.raises(InputError, match=r"could not be fetched \('refused'\)"):
        from_url("http://x.com/", LIMIT, True, Web(lambda *_: [PUBLIC], flaky))


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_above_the_limit_is_not_read_to_its_end(net: Net, announced: bool) -> None:
    headers = {"Content-Type": "text/plain"} | ({"Content-Length": str(10**9)} if announced else {})
    net.site.answers["/"] = (200, headers, b"x" * (LIMIT * 4 + 1))
    with pytest.raises(InputError, match=r"bytes; the limit is 10,000 characters"):
        net.read("http://a.com/")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((404, {}, b""), "the server answered 404"),
        ((200, {"Content-Type": "image/png"}, b"png"), r"of a kind that is not read \(image/png\)"),
        (
            (200, {"Content-Type": "text/html", "Content-Encoding": "gzip"}, b"\x1f\x8b"),
            r"served compressed \('gzip'\)",
        ),
        ((200, {"Content-Type": "text/plain"}, b"  "), "is empty"),
    ],
)
def test_what_cannot_be_read_is_told(net: Net, answer: tuple[int, dict[str, str], bytes], message: str) -> None:
    net.site.answers["/"] = answer
    with pytest.raises(InputError, match=message):
        net.read("http://a.com/")


@pytest.mark.parametrize(
    "charset", ["punycode", "idna", "undefined", "unicode_escape", "hex", "rot13", "no-such", "a\tb", "x" * 5000]
)
@pytest.mark.parametrize("kind", ["text/plain", "text/html"])
def test_a_page_of_an_encoding_that_is_none_is_read_as_what_it_looks_like(net: Net, kind: str, charset: str) -> None:
    net.site.answers["/"] = (200, {"Content-Type": f'{kind}; charset="{charset}"'}, b"Plain-words of a page.")
    assert net.read("http://a.com/").text == "Plain-words of a page."


def test_a_page_that_declares_an_encoding_that_is_none_is_read_too(net: Net) -> None:
    for charset in ("punycode", "undefined", "hex"):
        net.site.answers["/"] = html(f"<meta charset={charset}>Caf\u00e9.")
        assert net.read("http://a.com/").text == "Caf\u00e9."


@pytest.fixture
def silent() -> Iterator[Web]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        yield Web(lambda *_: [PUBLIC], lambda address, _, seconds: connect("127.0.0.1", port, seconds), seconds=0.05)


def test_a_server_that_is_too_slow_is_given_up(silent: Web) -> None:
    with pytest.raises(InputError, match="could not be fetched"):
        from_url("http://a.com/", LIMIT, True, silent)


def test_fetching_is_stopped_when_the_work_is(net: Net) -> None:
    flag = threading.Event()
    flag.set()
    with cancellable(flag), pytest.raises(Cancelled):
        net.read("http://a.com/")
