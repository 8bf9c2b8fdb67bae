"""Outbound against real servers on this machine: nothing reaches a private address by any trick, nothing is followed,
nothing takes longer or becomes larger than it may; with the administrator's word it works, over TLS too."""

from __future__ import annotations

import gzip
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpcore
import pytest

from interleaf.errors import TargetAway, TargetRefused
from tests.conftest import missing
from workers.outbound.outbound import Outbound, OutboundLimits
from workers.settings import Settings

BODY = b'{"type": "job.succeeded"}'
SIGNED = {"Content-Type": "application/json", "webhook-id": "msg_1", "webhook-signature": "v1,abc"}
PUBLIC = "8.8.8.8"


@dataclass
class Heard:
    """What a server was asked."""

    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)


class Names:
    """A resolver whose answers change from one question to the next; the last one stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


class Recorded(httpcore.MockBackend):
    """A network that reaches no machine: notes the addresses that it was to connect to."""

    def __init__(self, answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n", refusing: Iterable[str] = ()) -> None:
        super().__init__([answer])
        self.connected: list[tuple[str, int]] = []
        self._refusing = set(refusing)

    def connect_tcp(self, host: str, port: int, *rest: Any, **more: Any) -> httpcore.NetworkStream:
        self.connected.append((host, port))
        if host in self._refusing:
            raise httpcore.ConnectError("refused")
        return super().connect_tcp(host, port)


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None], context: ssl.SSLContext | None = None) -> Iterator[Any]:
    """A server on this machine; gives (port, heard)."""
    heard = Heard()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            answer(self)

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port, heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def replying(
    status: int, body: bytes = b"", headers: dict[str, str] | None = None
) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@contextmanager
def dripping(first: bytes, drop: bytes, every_s: float) -> Iterator[int]:
    """A server that says `first` at once and `drop` again and again for ever; gives its port."""
    listening = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            try:
                connection.sendall(first)
                while not over.wait(every_s):
                    connection.sendall(drop)
            except OSError:
                return  # they have hung up, which is what is wanted

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        over.set()
        thread.join()
        listening.close()


# What is refused


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0", "0.0.0.0"),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
        *("169.254.169.254", "10.0.0.1", "100.64.0.1", "224.0.0.1", "255.255.255.255", "[fe80::1]", "[fd00::1]"),
    ],
)
def test_no_spelling_of_a_private_address_is_asked(host: str) -> None:
    network = Recorded()
    outbound = Outbound(network=network)
    for go in (outbound.check, lambda url: outbound.post(url, BODY, SIGNED)):
        with pytest.raises((TargetRefused, TargetAway)) as refused:
            go(f"http://{host}:8080/latest/meta-data")
        assert "meta-data" not in refused.value.message
    assert network.connected == []


def test_a_private_server_is_not_even_connected_to() -> None:
    with answering(replying(200)) as (port, heard):
        for url in (f"http://127.0.0.1:{port}/", f"http://localhost:{port}/"):
            with pytest.raises(TargetRefused):
                Outbound().post(url, BODY, SIGNED)
    assert heard.requests == []


def test_a_name_that_was_good_when_it_was_checked_is_checked_again() -> None:
    names, network = Names([PUBLIC], ["127.0.0.1"]), Recorded()
    outbound = Outbound(resolver=names, network=network)
    outbound.check("http://rebinds.example/")
    with pytest.raises(TargetRefused, match="private network"):
        outbound.post("http://rebinds.example/", BODY, SIGNED)
    assert network.connected == []


def test_a_name_that_changes_after_the_check_is_not_asked_again() -> None:
    names, network = Names([PUBLIC], ["127.0.0.1"]), Recorded()
    reply = Outbound(resolver=names, network=network).post("https://rebinds.example/hook", BODY, SIGNED)
    assert reply.status == 204
    assert names.asked == ["rebinds.example"]
    assert network.connected == [(PUBLIC, 443)]


@pytest.mark.parametrize("answer", [[PUBLIC, "10.0.0.1"], ["127.0.0.1", PUBLIC], [PUBLIC, "::ffff:10.0.0.1"]])
def test_a_name_with_one_bad_address_is_refused_as_a_whole(answer: list[str]) -> None:
    network = Recorded()
    with pytest.raises(TargetRefused):
        Outbound(resolver=Names(answer), network=network).post("http://mixed.example/", BODY, SIGNED)
    assert network.connected == []


def test_further_addresses_are_tried_and_not_without_end() -> None:
    names = Names([f"8.8.8.{k}" for k in range(1, 100)])
    network = Recorded(refusing=["8.8.8.1"])
    assert Outbound(resolver=names, network=network).post("http://many.example/", BODY, SIGNED).accepted
    assert network.connected == [("8.8.8.1", 80), ("8.8.8.2", 80)]
    dead = Recorded(refusing=[f"8.8.8.{k}" for k in range(1, 100)])
    with pytest.raises(TargetAway, match="cannot be connected"):
        Outbound(resolver=names, network=dead).post("http://many.example/", BODY, SIGNED)
    assert len(dead.connected) == 4


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(status: int) -> None:
    with answering(replying(200, b"secret")) as (inner, heard_inside):
        place = {"Location": f"http://127.0.0.1:{inner}/secret"}
        with answering(replying(status, headers=place)) as (port, heard):
            reply = Outbound(private=True).post(f"http://127.0.0.1:{port}/", BODY, SIGNED)
    assert (reply.status, reply.accepted, reply.body) == (status, False, b"")
    assert len(heard.requests) == 1
    assert heard_inside.requests == []


def test_link_local_and_metadata_stay_closed_to_the_administrator_too() -> None:
    network = Recorded()
    for host in ("169.254.169.254", "[fe80::1]", "100.100.100.200", "[fd00:ec2::254]", "224.0.0.1", "0.0.0.0"):
        with pytest.raises(TargetRefused):
            Outbound(private=True, network=network).post(f"http://{host}/", BODY, SIGNED)
    assert network.connected == []


def test_a_name_without_an_address_is_away() -> None:
    def none(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    with pytest.raises(TargetAway, match="without an address"):
        Outbound(resolver=none).post("https://nobody.example/", BODY, SIGNED)
    with pytest.raises(TargetAway, match="without an address"):
        Outbound(resolver=Names([])).check("https://nobody.example/")


def test_a_name_server_that_hangs_does_not_hang_us() -> None:
    over = threading.Event()

    def hangs(host: str, port: int) -> Sequence[str]:
        over.wait(60)
        return [PUBLIC]

    outbound = Outbound(resolver=hangs, limits=OutboundLimits(all_s=0.2), network=Recorded())
    with pytest.raises(TargetAway, match="looked up"):
        outbound.post("https://slow.example/", BODY, SIGNED)
    over.set()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "inner"},
        {"Transfer-Encoding": "chunked"},
        {"content-length": "1"},
        {"X-A": "b\r\nHost: c"},
        {"a b": "c"},
    ],
)
def test_a_header_that_would_change_the_message_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(TargetRefused, match="headers"):
        Outbound(resolver=Names([PUBLIC]), network=Recorded()).post("http://good.example/", BODY, headers)


def test_a_body_has_a_size() -> None:
    network = Recorded()
    outbound = Outbound(resolver=Names([PUBLIC]), limits=OutboundLimits(sent_bytes=10), network=network)
    with pytest.raises(TargetRefused, match="10 bytes"):
        outbound.post("http://good.example/", b"x" * 11, SIGNED)
    assert network.connected == []


def test_the_environments_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(replying(200)) as (port, heard):
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
        network = Recorded()
        assert Outbound(resolver=Names([PUBLIC]), network=network).post("http://good.example/", BODY, SIGNED).accepted
    assert heard.requests == []
    assert network.connected == [(PUBLIC, 80)]


# What is allowed, and its limits


def test_with_the_administrators_word_a_private_server_is_asked(tmp_path: Path) -> None:
    outbound = Outbound.of(Settings(home=tmp_path, outbound_private=True))
    with answering(replying(202, b"taken")) as (port, heard):
        outbound.check(f"http://127.0.0.1:{port}/")
        reply = outbound.post(f"http://127.0.0.1:{port}/hook?token=7", BODY, SIGNED)
    assert (reply.status, reply.body, reply.cut, reply.accepted) == (202, b"taken", False, True)
    [(method, path, headers, body)] = heard.requests
    assert (method, path, body) == ("POST", "/hook?token=7", BODY)
    assert headers["host"] == f"127.0.0.1:{port}"
    assert headers["webhook-signature"] == "v1,abc"
    assert headers["accept-encoding"] == "identity"
    with pytest.raises(TargetRefused):
        Outbound.of(Settings(home=tmp_path)).check(f"http://127.0.0.1:{port}/")


def test_the_other_side_hears_the_name_and_not_the_address() -> None:
    with answering(replying(200)) as (port, heard):
        Outbound(private=True, resolver=Names(["127.0.0.1"])).post(f"http://inner.example:{port}/", BODY, SIGNED)
    assert heard.requests[0][2]["host"] == f"inner.example:{port}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate and key of hooks.example, in one file, signed by itself."""
    if shutil.which("openssl") is None:
        missing("openssl", "install the Debian package openssl")
    folder = tmp_path_factory.mktemp("certificate")
    key, signed = folder / "key.pem", folder / "signed.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-days", "2", "-subj", "/CN=hooks.example", "-addext", "subjectAltName=DNS:hooks.example"),
            *("-keyout", str(key), "-out", str(signed)),
        ],
        check=True,
        capture_output=True,
    )
    both = folder / "both.pem"
    both.write_bytes(signed.read_bytes() + key.read_bytes())
    return both


def test_tls_is_held_against_the_name_at_the_checked_address(certificate: Path) -> None:
    asked_for: list[str | None] = []
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate)
    served.sni_callback = lambda _, name, __: asked_for.append(name)
    trusting = ssl.create_default_context(cafile=str(certificate))
    with answering(replying(200), served) as (port, heard):
        outbound = Outbound(private=True, resolver=Names(["127.0.0.1"]), ssl_context=trusting)
        assert outbound.post(f"https://hooks.example:{port}/", BODY, SIGNED).accepted
        assert asked_for == ["hooks.example"]
        # Another name at the same address, and a certificate that no authority signed.
        with pytest.raises(TargetAway):
            outbound.post(f"https://other.example:{port}/", BODY, SIGNED)
        with pytest.raises(TargetAway):
            Outbound(private=True, resolver=Names(["127.0.0.1"])).post(f"https://hooks.example:{port}/", BODY, SIGNED)
    assert len(heard.requests) == 1


def test_of_an_endless_answer_the_beginning_is_read() -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    limits = OutboundLimits(kept_bytes=1_000)
    with dripping(head, b"x" * 65_536, 0.0) as port:
        reply = Outbound(private=True, limits=limits).post(f"http://127.0.0.1:{port}/", BODY, SIGNED)
    assert (reply.status, reply.body, reply.cut) == (200, b"x" * 1_000, True)


def test_a_packed_answer_stays_packed() -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    with answering(replying(200, bomb, {"Content-Encoding": "gzip"})) as (port, _):
        reply = Outbound(private=True).post(f"http://127.0.0.1:{port}/", BODY, SIGNED)
    assert reply.body == bomb[: OutboundLimits().kept_bytes]


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nX-A: "], ids=["the answer", "a header"])
def test_a_server_that_drips_is_left_at_the_deadline(first: bytes) -> None:
    # Each byte comes well within the idle limit, so that only the deadline can end it.
    limits = OutboundLimits(all_s=0.5, idle_s=30)
    begun = time.monotonic()
    with dripping(first, b"H", 0.05) as port, pytest.raises(TargetAway, match=r"0\.5 s|did not answer"):
        Outbound(private=True, limits=limits).post(f"http://127.0.0.1:{port}/", BODY, SIGNED)
    assert time.monotonic() - begun < 25


def test_a_body_that_drips_is_cut_at_the_deadline() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    with dripping(head, b"x", 0.05) as port:
        limits = OutboundLimits(all_s=0.5, idle_s=30)
        reply = Outbound(private=True, limits=limits).post(f"http://127.0.0.1:{port}/", BODY, SIGNED)
    assert (reply.status, reply.cut) == (200, True)
    assert len(reply.body) < 1_000


def test_a_tls_handshake_that_drips_is_left_at_the_deadline() -> None:
    # A record of TLS announces 16 KiB and comes byte by byte.
    limits = OutboundLimits(all_s=0.5, idle_s=30)
    with dripping(b"\x16\x03\x03\x3f\xff", b"\x02", 0.05) as port, pytest.raises(TargetAway):
        Outbound(private=True, limits=limits).post(f"https://127.0.0.1:{port}/", BODY, SIGNED)


def test_a_silent_server_is_left_when_it_pauses_for_too_long() -> None:
    with dripping(b"", b"", 60) as port, pytest.raises(TargetAway, match="ReadTimeout"):
        Outbound(private=True, limits=OutboundLimits(idle_s=0.2)).post(f"http://127.0.0.1:{port}/", BODY, SIGNED)


def test_what_is_no_http_is_away() -> None:
    with dripping(b"220 mail.example ESMTP\r\n", b"", 60) as port, pytest.raises(TargetAway):
        Outbound(private=True, limits=OutboundLimits(idle_s=1)).post(f"http://127.0.0.1:{port}/", BODY, SIGNED)
