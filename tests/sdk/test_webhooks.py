"""A webhook's message is taken as it was signed, and in no other way."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from interleaf.errors import SettingInvalid, SignatureRefused
from interleaf.webhooks import sign, verify

NOW_S = 1_795_800_000
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
SHORT = base64.b64encode(b"short").decode()
OTHER = "whsec_" + base64.b64encode(bytes(32)).decode()
BODY = json.dumps(
    {"type": "job.succeeded", "timestamp": "2026-11-27T21:00:00+00:00", "data": {"id": "job_1", "state": "succeeded"}}
).encode()


def headers(body: bytes = BODY, secret: str = SECRET, at_s: int = NOW_S, **other: str) -> dict[str, str]:
    said = {
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": str(at_s),
        "Webhook-Signature": sign(secret, "msg_1", at_s, body),
    }
    return said | other


def test_what_the_service_signed_is_taken() -> None:
    message = verify(BODY, headers(), SECRET, now_s=NOW_S)
    assert (message.id, message.type, message.data["id"]) == ("msg_1", "job.succeeded", "job_1")
    assert message.at == datetime(2026, 11, 27, 21, tzinfo=UTC)


def test_while_a_secret_is_replaced_both_are_taken() -> None:
    both = f"{sign(OTHER, 'msg_1', NOW_S, BODY)} {sign(SECRET, 'msg_1', NOW_S, BODY)}"
    for secrets in ((SECRET,), (OTHER,), (OTHER, SECRET)):
        assert verify(BODY, headers() | {"Webhook-Signature": both}, *secrets, now_s=NOW_S).id == "msg_1"
    assert verify(BODY, headers(), OTHER, SECRET, now_s=NOW_S).id == "msg_1"


@given(st.binary(max_size=200), st.integers(0, 253_402_300_799), st.from_regex(r"\Amsg_[a-z0-9]{1,20}\Z"))
def test_signed_as_the_standards_own_library_does(body: bytes, at_s: int, message_id: str) -> None:
    text = base64.b64encode(body).decode()  # theirs signs text
    theirs = Webhook(SECRET).sign(message_id, datetime.fromtimestamp(at_s, UTC), text)
    assert theirs == sign(SECRET, message_id, at_s, text.encode())


def test_the_standards_own_library_takes_what_we_sign() -> None:
    now_s = int(datetime.now(UTC).timestamp())
    said = {name.lower(): value for name, value in headers(at_s=now_s).items()}
    assert Webhook(SECRET).verify(BODY.decode(), said)["type"] == "job.succeeded"
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY.decode(), said)


@given(st.data())
def test_a_changed_byte_anywhere_is_refused(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(BODY) - 1))
    changed = bytearray(BODY)
    changed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SignatureRefused, match="none of the secrets"):
        verify(bytes(changed), headers(), SECRET, now_s=NOW_S)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"Webhook-Id": "msg_2"}, "none of the secrets"),
        ({"Webhook-Timestamp": str(NOW_S + 1)}, "none of the secrets"),
        ({"Webhook-Signature": ""}, "missing"),
        ({"Webhook-Signature": "v2," + sign(SECRET, "msg_1", NOW_S, BODY)[3:]}, "none of the secrets"),
        ({"Webhook-Signature": sign(SECRET, "msg_1", NOW_S, BODY)[3:]}, "none of the secrets"),
        ({"Webhook-Signature": "v1,ü"}, "none of the secrets"),
        ({"Webhook-Signature": "v1,x " * 51}, "larger"),
        ({"Webhook-Timestamp": "soon"}, "no time"),
        ({"Webhook-Timestamp": "-5"}, "no time"),
        ({"Webhook-Timestamp": "9" * 400}, "no time"),
        ({"Webhook-Id": " "}, "missing"),
    ],
)
def test_what_is_not_signed_so_is_refused(other: dict[str, str], said: str) -> None:
    with pytest.raises(SignatureRefused, match=said):
        verify(BODY, headers() | other, SECRET, now_s=NOW_S)


@pytest.mark.parametrize("late_s", [301, -301, 10**9])
def test_an_old_message_sent_again_is_refused(late_s: int) -> None:
    with pytest.raises(SignatureRefused, match="away from now"):
        verify(BODY, headers(), SECRET, now_s=NOW_S + late_s)


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_???", "whsec_" + base64.b64encode(b"short").decode(), "x" * 41]
)
def test_what_is_no_secret_is_said_without_repeating_it(secret: str) -> None:
    with pytest.raises(SettingInvalid) as refused:
        verify(BODY, headers(), secret, now_s=NOW_S)
    assert not secret or secret not in str(refused.value).replace("whsec_…", "")
    with pytest.raises(SettingInvalid, match="missing"):
        verify(BODY, headers(), now_s=NOW_S)


@pytest.mark.parametrize("said", [b"", b"{}", b"[]", b'{"type": 1, "timestamp": "2026-11-27T21:00:00Z", "data": {}}'])
def test_a_signed_message_of_another_form_is_refused(said: bytes) -> None:
    with pytest.raises(SignatureRefused, match="form"):
        verify(said, headers(said), SECRET, now_s=NOW_S)


def test_headers_of_any_mapping() -> None:
    class Headers(dict[str, Any]):
        pass

    assert verify(BODY, Headers(headers()), SECRET, now_s=NOW_S).type == "job.succeeded"
