"""Limits: bodies that are too large, packed or too slow end early, over a real connection; mistakes tell nothing."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.api.service import Service, problem
from workers.store.jobs import Jobs


def test_a_body_that_says_it_is_too_large_is_not_read(make_service: Callable[..., Service]) -> None:
    service = make_service(max_body_bytes=10_000)
    with service.served() as base:
        host, _, port = base.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            head = (
                f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.alice}\r\n"
                "Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"
            )
            connection.sendall(head.encode())  # and not a byte of the body
            answer = told(connection)
    assert answer.startswith("HTTP/1.1 413")
    assert '"file_over_limit"' in answer


def test_a_body_that_turns_out_too_large_is_cut_off(make_service: Callable[..., Service]) -> None:
    service = make_service(max_body_bytes=10_000)
    sent = [0]

    def pieces() -> Iterator[bytes]:
        yield b'{"instruction": "'
        for _ in range(100_000):
            sent[0] += 1_000
            yield b"x" * 1_000

    with service.served() as base:
        try:
            answer = httpx.post(
                f"{base}/v1/jobs",
                content=pieces(),
                headers=service.headers() | {"Content-Type": "application/json"},
                timeout=20,
            )
            assert problem(answer) == (413, "file_over_limit")
        except httpx.WriteError:
            pass  # the connection was cut while we were still sending, which is what is wanted
        assert sent[0] < 50_000_000
        assert httpx.get(f"{base}/v1/jobs", headers=service.headers()).json()["data"] == []


def test_in_process_too(make_service: Callable[..., Service]) -> None:
    service = make_service(max_body_bytes=1_000)
    client = service.client()
    assert client.order().status_code == 202
    assert problem(client.order({"instruction": "x" * 2_000})) == (413, "file_over_limit")
    chunked = client.post("/v1/jobs", content=iter([b"[", b" " * 2_000]), headers={"Content-Type": "application/json"})
    assert problem(chunked) == (413, "file_over_limit")


def test_a_body_that_comes_too_slowly_is_given_up(make_service: Callable[..., Service]) -> None:
    service = make_service(body_idle_s=0.3)
    with service.served() as base:
        host, _, port = base.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            head = (
                f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.alice}\r\n"
                "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
            )
            begun = time.monotonic()
            connection.sendall(head.encode())
            answer = told(connection)
            assert time.monotonic() - begun < 5
    assert answer.startswith("HTTP/1.1 408")
    assert '"body_too_slow"' in answer


def test_headers_have_a_size(service: Service) -> None:
    with service.served() as base:
        host, _, port = base.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            sent = 0
            # The server cuts it off, which is what is wanted.
            with pytest.raises(OSError):
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
                while sent < 50_000_000:
                    connection.sendall(b"X-More: " + b"a" * 10_000 + b"\r\n")
                    sent += 10_000
        assert httpx.get(f"{base}/healthz").status_code == 200


@pytest.mark.parametrize("before", [False, True], ids=["the first request", "a further request"])
def test_headers_that_drip_lose_their_connection(make_service: Callable[..., Service], before: bool) -> None:
    service = make_service(head_s=0.5)
    with service.served() as base:
        host, _, port = base.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            if before:
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            sent = 0
            # A line each tenth of a second: it would never end.
            with pytest.raises(OSError):
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
                while sent < 300:
                    connection.sendall(b"X-More: a\r\n")
                    sent += 1
                    time.sleep(0.1)
            assert sent < 300
        # Who is quick is not touched, over one connection for longer than that.
        with httpx.Client(base_url=base) as client:
            for _ in range(4):
                assert client.get("/healthz").status_code == 200
                time.sleep(0.3)


def test_a_connection_that_says_nothing_is_closed(make_service: Callable[..., Service]) -> None:
    service = make_service(head_s=0.3)
    with service.served() as base:
        host, _, port = base.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            assert connection.recv(1) == b""


def test_a_slow_answer_and_a_slow_body_are_not_taken_for_a_slow_head(make_service: Callable[..., Service]) -> None:
    service = make_service(head_s=0.3, body_idle_s=5)
    with service.served() as base:
        host, _, port = base.removeprefix("http://").partition(":")
        body = b'{"instruction": "x"}'
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            head = (
                f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.alice}\r\nConnection: close\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            connection.sendall(head.encode())
            time.sleep(0.8)
            connection.sendall(body)
            assert told(connection).startswith("HTTP/1.1 202")
        job = httpx.get(f"{base}/v1/jobs", headers=service.headers()).json()["data"][0]["id"]
        waited = httpx.get(f"{base}/v1/jobs/{job}", headers=service.headers() | {"Prefer": "wait=1"}, timeout=20)
        assert waited.status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, gzip"])
def test_packed_bodies_are_not_unpacked(service: Service, encoding: str) -> None:
    answer = service.client().post("/v1/jobs", content=b"\x1f\x8b", headers={"Content-Encoding": encoding})
    assert problem(answer) == (415, "media_unsupported")


def test_a_mistake_of_ours_tells_nothing(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(self: Jobs, *args: Any) -> Any:
        raise RuntimeError("password=hunter2 at line 7")

    monkeypatch.setattr(Jobs, "list", broken)
    answer = service.client().get("/v1/jobs", headers={"X-Request-Id": "my-request-1"})
    assert problem(answer) == (500, "internal_error")
    assert "hunter2" not in answer.text
    assert answer.headers["X-Request-Id"] == "my-request-1"
    assert "my-request-1" in caplog.text
    assert "hunter2" in caplog.text  # the operator learns it


@pytest.mark.parametrize(
    "given", ["short", "a b c d e f g h", "x" * 65, "<script>alert(1)</script>", "a\tb-long-enough"]
)
def test_a_request_id_cannot_break_a_log(service: Service, given: str) -> None:
    answer = service.client().get("/v1/jobs", headers={"X-Request-Id": given})
    assert answer.headers["X-Request-Id"] != given


def test_unknown_paths_and_methods(service: Service) -> None:
    client = service.client()
    assert problem(client.get("/v1/none")) == (404, "not_found")
    assert problem(client.get("/v1/jobs/")) in ((404, "not_found"), (404, "job_unknown"))
    wrong = client.ask("PATCH", "/v1/jobs")
    assert problem(wrong) == (405, "method_not_allowed")
    assert "POST" in wrong.headers["Allow"] or "GET" in wrong.headers["Allow"]


def test_codes_are_explained_where_their_type_points(service: Service) -> None:
    client = service.client("")
    for code in ("job_unknown", "invalid_brief", "queue_full", "not_found", "body_too_slow", "range_unsatisfiable"):
        told = client.get(f"/v1/problems/{code}").json()
        assert told["code"] == code
        assert told["meaning"].endswith(".")
    assert client.get("/v1/problems/none").status_code == 404
    text = client.get("/v1/problems/queue_full").json()
    assert (text["retryable"], text["status"]) == (True, 503)


def told(connection: socket.socket) -> str:
    """All that comes until the other side closes."""
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces).decode()
