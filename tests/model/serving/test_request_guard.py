"""Who may talk to the server: programs of this machine, or who has the key; nobody learns the key by trying."""

from __future__ import annotations

import hashlib
import hmac
import json

import httpx
import openai
import pytest

from interleaf.errors import RequestRefused
from model.serving.request_guard import is_local
from model.serving.server import bound_socket, create_app
from tests.model.served_model import SayingEngine, client_of, served, user

KEY = "k-0123456789abcdef"


def test_pages_in_a_browser_are_no_programs_of_this_machine() -> None:
    with served(SayingEngine()) as address:
        where = f"{address}/v1/chat/completions"
        body = json.dumps({"model": "tiny", "messages": user("hi")})
        assert httpx.post(where, content=body, headers={"content-type": "text/plain"}).status_code == 415
        rebound = {"content-type": "application/json", "host": "evil.example:80"}
        assert httpx.post(where, content=body, headers=rebound).status_code == 403
        assert httpx.options(where, headers={"origin": "http://evil.example"}).status_code == 405


def test_a_key_is_asked_for_on_every_route_but_health() -> None:
    with served(SayingEngine(), api_key=KEY) as address:
        good = client_of(address, KEY)
        assert good.chat.completions.create(model="tiny", messages=user("hi")).choices[0].message.content == "hi"
        for key in ("wrong", KEY[:-1], KEY + "x"):
            with pytest.raises(openai.AuthenticationError) as refused:
                client_of(address, key).models.list()
            assert refused.value.code == "invalid_api_key" and KEY not in refused.value.message
        for path in ("/v1/models", "/v1/models/tiny", "/none"):
            assert httpx.get(address + path).status_code == 401
        assert httpx.get(f"{address}/v1/models", headers={"authorization": f"Basic {KEY}"}).status_code == 401
        assert httpx.get(f"{address}/health").status_code == 200


def test_short_keys_and_open_addresses_without_a_key_are_refused() -> None:
    with pytest.raises(RequestRefused):
        create_app(SayingEngine(), model_name="tiny", api_key="short")
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org"):
        with pytest.raises(RequestRefused, match="no key"):
            bound_socket(host, 0, has_key=False)
    with bound_socket("127.0.0.1", 0, has_key=False) as first, pytest.raises(RequestRefused, match="listened"):
        first.listen()
        bound_socket("127.0.0.1", first.getsockname()[1], has_key=False)


def test_a_key_is_compared_by_its_digest_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is sent, exactly one comparison of two digests is made, and by hmac's own function."""
    compared: list[tuple[bytes, bytes]] = []
    true_compare = hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return true_compare(one, other)

    monkeypatch.setattr("model.serving.request_guard.hmac.compare_digest", watched)
    wrong = [f"Basic {KEY}", f"Bearer {KEY[:-1]}", "Bearer x" + "y" * 5_000, "Bearer", ""]
    sent = [f"Bearer {KEY}", f"bearer  {KEY}", *wrong]
    with served(SayingEngine(), api_key=KEY) as address:
        said = [httpx.get(f"{address}/v1/models", headers={"authorization": one}).status_code for one in sent]
    assert said == [200, 200, 401, 401, 401, 401, 401]
    digest = hashlib.sha256(KEY.encode("ascii")).digest()
    assert len(compared) == len(sent)
    assert all(len(one) == 32 and other == digest for one, other in compared)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        *((name, True) for name in ("localhost", "LocalHost", "127.0.0.1", "127.8.9.10", "::1")),
        *(
            (name, False)
            for name in ("0.0.0.0", "::", "192.0.2.1", "localhost.evil.example", "127.0.0.1.evil", "", "1")
        ),
    ],
)
def test_names_of_this_machine(host: str, local: bool) -> None:
    assert is_local(host) == local


def test_a_host_header_of_this_machine_is_answered_and_no_other() -> None:
    with served(SayingEngine()) as address:
        for host in ("localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "127.0.0.2"):
            assert httpx.get(f"{address}/v1/models", headers={"host": host}).status_code == 200
        for host in ("evil.example", "[::1].evil.example", "localhost.evil.example:80", "192.0.2.1"):
            assert httpx.get(f"{address}/v1/models", headers={"host": host}).status_code == 403
