"""One exchange over real sockets on this machine."""

from __future__ import annotations

import gzip
import logging
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import urllib3.exceptions

from autoscale_aks.access.connections import Route, proxy_of
from autoscale_aks.cloud.aks.transport import (
    HttpTransport,
    Request,
    Response,
    SendFailure,
    Sent,
    _never_left,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Reply = Callable[["Handler"], None]

TOKEN = "very-secret-token"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    reply: Reply
    seen: list[tuple[str, str, dict[str, str], bytes]]

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.seen.append((self.command, self.path, dict(self.headers), self.rfile.read(length)))
        type(self).reply(self)

    def do_PUT(self) -> None:
        self.do_GET()

    def give(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Quiet."""


@contextmanager
def serving(reply: Reply) -> Iterator[tuple[str, list[tuple[str, str, dict[str, str], bytes]]]]:
    handler = type("OneHandler", (Handler,), {"reply": staticmethod(reply), "seen": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", handler.seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def transport() -> Iterator[HttpTransport]:
    made = HttpTransport(connect_timeout_s=2)
    yield made
    made.close()


def request(url: str, method: str = "GET", **fields: object) -> Request:
    return Request(method=method, url=url, token=TOKEN, **fields)  # type: ignore[arg-type]


def test_bytes_go_out_and_come_back(transport: HttpTransport) -> None:
    with serving(lambda handler: handler.give(201, b'{"a":1}', X_Thing="7")) as (url, seen):
        result = transport.send(request(url + "/p?api-version=1", "PUT", headers={"BatchPutMachine": "{}"}, body=b"{}"))
    assert isinstance(result, Response)
    assert (result.status, result.ok, result.body, result.headers["x-thing"]) == (201, True, b'{"a":1}', "7")
    method, path, headers, body = seen[0]
    assert (method, path, body) == ("PUT", "/p?api-version=1", b"{}")
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["BatchPutMachine"] == "{}"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_b8_no_library_retries_underneath(transport: HttpTransport, status: int) -> None:
    with serving(lambda handler: handler.give(status, b"", Retry_After="0")) as (url, seen):
        result = transport.send(request(url, "PUT", body=b"{}"))
    assert isinstance(result, Response)
    assert (result.status, len(seen)) == (status, 1)


def test_redirects_are_not_followed(transport: HttpTransport) -> None:
    with serving(lambda handler: handler.give(307, b"", Location="http://127.0.0.1:1/")) as (url, seen):
        result = transport.send(request(url))
    assert isinstance(result, Response)
    assert (result.status, len(seen)) == (307, 1)


def test_cookies_are_not_kept(transport: HttpTransport) -> None:
    with serving(lambda handler: handler.give(200, b"", Set_Cookie="a=b; Path=/")) as (url, seen):
        transport.send(request(url))
        transport.send(request(url))
    assert "Cookie" not in seen[1][2]


def test_a_netrc_never_replaces_the_token(
    transport: HttpTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with serving(lambda handler: handler.give(200)) as (url, seen):
        transport.send(request(url))
    assert seen[0][2]["Authorization"] == f"Bearer {TOKEN}"


def test_this_machine_is_never_asked_through_a_proxy(transport: HttpTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(lambda handler: handler.give(200)) as (url, _):
        assert isinstance(transport.send(request(url)), Response)


def test_a_proxy_of_the_environment_is_asked_with_its_own_password_and_not_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(lambda handler: handler.give(200, b"{}")) as (url, seen):
        monkeypatch.setenv("http_proxy", url.replace("://", "://me:s%40fe@"))
        result = HttpTransport().send(request("http://arm.example/p?a=1"))
    assert isinstance(result, Response)
    ((_, path, headers, _),) = seen
    assert path == "http://arm.example/p?a=1"
    assert headers["proxy-authorization"] == "Basic bWU6c0BmZQ=="
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    monkeypatch.setenv("http_proxy", "http://me:s%40fe@127.0.0.1:1")
    refused = HttpTransport().send(request("http://arm.example/p"))
    assert isinstance(refused, SendFailure)
    assert refused.sent is Sent.NOT_SENT
    assert "s%40fe" not in refused.detail
    assert "s@fe" not in refused.detail


@pytest.mark.parametrize(
    ("url", "proxied"),
    [
        ("https://arm.example/", True),
        ("https://k8s.example.org/", False),
        ("https://10.2.3.4/", False),
        ("https://11.2.3.4/", True),
        ("https://127.0.0.1/", False),
        ("https://localhost:6443/", False),
    ],
)
def test_no_proxy_names_hosts_domains_and_networks(monkeypatch: pytest.MonkeyPatch, url: str, proxied: bool) -> None:
    monkeypatch.setenv("https_proxy", "proxy.example:3128")
    monkeypatch.setenv("no_proxy", "example.org, 10.0.0.0/8,not/anetwork")
    monkeypatch.delenv("NO_PROXY", raising=False)
    parts = urlsplit(url)
    found = proxy_of(parts.scheme, parts.hostname or "", url)
    assert found == ("http://proxy.example:3128" if proxied else None)


def test_certificate_authorities_that_are_not_there_are_a_clear_refusal(
    transport: HttpTransport, tmp_path: Path
) -> None:
    result = transport.send(request("https://127.0.0.1:1/", route=Route(ca=str(tmp_path / "none.pem"))))
    assert isinstance(result, SendFailure)
    assert result.sent is Sent.NOT_SENT
    assert "No such file" in result.detail


def test_connections_are_kept_and_shared(transport: HttpTransport) -> None:
    peers = set()

    def reply(handler: Handler) -> None:
        peers.add(handler.client_address)
        handler.give(200)

    with serving(reply) as (url, _):
        for _ in range(5):
            transport.send(request(url))
    assert len(peers) == 1


def test_a_refused_connection_is_not_sent(transport: HttpTransport) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        result = transport.send(request(f"http://127.0.0.1:{holder.getsockname()[1]}"))
    assert isinstance(result, SendFailure)
    assert result.sent is Sent.NOT_SENT


def test_a_connection_reset_after_the_request_is_unknown(transport: HttpTransport) -> None:
    def reset(handler: Handler) -> None:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        handler.connection.close()
        handler.close_connection = True

    with serving(reset) as (url, seen):
        result = transport.send(request(url, "PUT", body=b"{}"))
    assert isinstance(result, SendFailure)
    assert (result.sent, len(seen)) == (Sent.UNKNOWN, 1)


def test_an_answer_cut_short_is_unknown(transport: HttpTransport) -> None:
    def short(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"{")
        handler.close_connection = True

    with serving(short) as (url, _):
        result = transport.send(request(url))
    assert isinstance(result, SendFailure)
    assert result.sent is Sent.UNKNOWN


def test_an_answer_that_is_no_http_is_unknown(transport: HttpTransport) -> None:
    def garbage(handler: Handler) -> None:
        handler.wfile.write(b"\x00\x01\x02 what\r\n\r\n")
        handler.close_connection = True

    with serving(garbage) as (url, _):
        result = transport.send(request(url))
    assert isinstance(result, SendFailure)
    assert result.sent is Sent.UNKNOWN


def test_a_late_answer_is_unknown(transport: HttpTransport) -> None:
    done = threading.Event()
    with serving(lambda handler: done.wait(5) and None) as (url, _):
        started = time.monotonic()
        result = transport.send(request(url, timeout_s=0.2))
        done.set()
    assert isinstance(result, SendFailure)
    assert result.sent is Sent.UNKNOWN
    assert time.monotonic() - started < 2


def test_an_answer_that_drips_ends_at_the_time_limit(transport: HttpTransport) -> None:
    def drip(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for _ in range(100):
            try:
                handler.wfile.write(b"1\r\nx\r\n")
            except OSError:
                return
            time.sleep(0.05)

    with serving(drip) as (url, _):
        started = time.monotonic()
        result = transport.send(request(url, timeout_s=0.3))
    assert isinstance(result, SendFailure)
    assert time.monotonic() - started < 3


def test_a_body_of_known_length_that_drips_ends_at_the_time_limit(transport: HttpTransport) -> None:
    def drip(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        for _ in range(100):
            try:
                handler.wfile.write(b"x")
            except OSError:
                return
            time.sleep(0.05)

    with serving(drip) as (url, _):
        result = transport.send(request(url, timeout_s=0.3))
    assert isinstance(result, SendFailure)
    assert (result.sent, "took longer" in result.detail) == (Sent.UNKNOWN, True)


def test_a_body_of_any_size_is_cut() -> None:
    bomb = gzip.compress(b"x" * 5_000_000)
    transport = HttpTransport(body_limit_bytes=1000)
    with serving(lambda handler: handler.give(200, bomb, Content_Encoding="gzip")) as (url, _):
        result = transport.send(request(url))
    transport.close()
    assert isinstance(result, Response)
    assert (len(result.body), result.truncated) == (1000, True)


def test_a_body_of_exactly_the_limit_is_whole() -> None:
    transport = HttpTransport(body_limit_bytes=1000)
    with serving(lambda handler: handler.give(200, b"x" * 1000)) as (url, _):
        result = transport.send(request(url))
    transport.close()
    assert isinstance(result, Response)
    assert not result.truncated


@pytest.mark.parametrize(
    ("error", "never"),
    [
        (urllib3.exceptions.ConnectTimeoutError("slow"), True),
        (urllib3.exceptions.NewConnectionError(None, "no name"), True),  # type: ignore[arg-type]
        (urllib3.exceptions.ProxyError("407", OSError("refused")), True),
        (urllib3.exceptions.LocationParseError("http://["), True),
        (urllib3.exceptions.SSLError(ssl.SSLCertVerificationError("expired")), True),
        (urllib3.exceptions.SSLError(ssl.SSLError("bad record")), False),
        (urllib3.exceptions.ReadTimeoutError(None, "/", "late"), False),  # type: ignore[arg-type]
        (urllib3.exceptions.ProtocolError("aborted", ConnectionResetError()), False),
        (urllib3.exceptions.IncompleteRead(1, 99), False),
        (urllib3.exceptions.DecodeError("not gzip"), False),
        (ValueError("odd"), False),
        (OSError("odd"), False),
    ],
)
def test_only_what_proves_it_counts_as_not_sent(error: Exception, never: bool) -> None:
    assert _never_left(error) is never


def test_a_header_with_a_line_break_is_not_sent(transport: HttpTransport) -> None:
    with serving(lambda handler: handler.give(200)) as (url, seen):
        for value in ("a\r\nEvil: 1", "a\nb", "\u00e9"):
            result = transport.send(request(url, headers={"X": value}))
            assert isinstance(result, SendFailure)
            assert (result.sent, seen) == (Sent.NOT_SENT, [])


def test_no_token_in_logs_or_reprs(transport: HttpTransport, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(lambda handler: handler.give(200)) as (url, _):
        asked = request(url)
        result = transport.send(asked)
    dead = transport.send(request("http://127.0.0.1:1/x"))
    assert TOKEN not in caplog.text
    assert TOKEN not in repr((asked, result, dead, transport))
