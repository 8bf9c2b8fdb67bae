"""Webhooks: whether a message really came from the service, and what it says (Standard Webhooks 1.0).

    from interleaf.webhooks import verify

    message = verify(request.body, request.headers, "whsec_…")
    if message.type == "job.succeeded":
        print(message.data["id"])

Nothing beyond the standard library is needed. The body must be the bytes that came, not JSON read and written again.
A message may come more than once: `message.id` is the same each time.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import time
from typing import Any, Final

from interleaf.errors import SettingInvalid, SignatureRefused, shown

__all__ = ["SECRET_PREFIX", "WebhookMessage", "sign", "verify"]

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what secrets begin with
TOLERANCE_S: Final = 300
MAX_BODY_BYTES: Final = 1_000_000
MAX_SIGNATURES: Final = 50
_SECRET_BYTES: Final = range(24, 65)
_SECONDS: Final = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True)
class WebhookMessage:
    """A message whose signature was right."""

    id: str
    """The same at every attempt to deliver it."""
    type: str
    """Such as `job.succeeded`."""
    at: datetime
    """When it happened, as the body says."""
    data: Mapping[str, Any]


def sign(secret: str, message_id: str, timestamp_s: int, body: bytes) -> str:
    """The signature `v1,…` of a message under one secret. SettingInvalid when the secret is none."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode("ascii")


def verify(
    body: bytes,
    headers: Mapping[str, str],
    *secrets: str,
    tolerance_s: float = TOLERANCE_S,
    now_s: float | None = None,
) -> WebhookMessage:
    """The message, if it is signed with one of `secrets` (several while a secret is being replaced) and its time stamp
    lies within `tolerance_s` of now.

    SignatureRefused says what is wrong and nothing of the secret; answer such a request with 400. SettingInvalid when
    a secret is none. `now_s`: seconds since 1970, for tests.
    """
    if not secrets:
        raise SettingInvalid("secret", "is missing.", "Give the secret that was told when the webhook was made.")
    found = {name.lower(): value for name, value in headers.items()}
    message_id = _header(found, "webhook-id")
    stamp = _header(found, "webhook-timestamp")
    signatures = _header(found, "webhook-signature").split()
    if not _SECONDS.fullmatch(stamp):
        raise SignatureRefused("webhook-timestamp", f"{shown(stamp)!r} is no time in seconds.", "Refuse the message.")
    now = time() if now_s is None else now_s
    if abs(now - int(stamp)) > tolerance_s:
        raise SignatureRefused(
            "webhook-timestamp",
            f"lies {abs(now - int(stamp)):.0f} s away from now, and at most {tolerance_s:g} s are taken.",
            "Refuse the message: it may be an old one sent again. If none is taken, set this machine's clock.",
        )
    if len(body) > MAX_BODY_BYTES or len(signatures) > MAX_SIGNATURES:
        raise SignatureRefused("message", "is larger than any that the service sends.", "Refuse the message.")
    # Every pair is looked at, whatever came before: how long it takes tells nothing.
    wanted = [sign(secret, message_id, int(stamp), body) for secret in secrets]
    same = [hmac.compare_digest(one.encode(), given.encode()) for one in wanted for given in signatures]
    if not any(same):
        raise SignatureRefused("webhook-signature", "is by none of the secrets.", "Refuse the message.")
    return _read(message_id, body)


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "").strip()
    if not value:
        raise SignatureRefused(name, "is missing.", "Refuse the message: it is none of the service's.")
    return value


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _no_secret() from error
    if len(key) not in _SECRET_BYTES:
        raise _no_secret()
    return key


def _no_secret() -> SettingInvalid:
    # The value is not repeated: it is a secret, or somebody meant it to be.
    return SettingInvalid("secret", "is no secret of a webhook.", f"Give it as it was told: {SECRET_PREFIX}….")


def _read(message_id: str, body: bytes) -> WebhookMessage:
    try:
        said = json.loads(body)
        at = datetime.fromisoformat(said["timestamp"])
        kind, data = said["type"], said["data"]
        if not isinstance(kind, str) or not isinstance(data, dict):
            raise TypeError
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SignatureRefused(
            "message", "is signed, and not of the form that is known.", "Upgrade interleaf."
        ) from error
    return WebhookMessage(message_id, kind, at if at.tzinfo is not None else at.replace(tzinfo=UTC), data)
