"""Api keys on both databases: found by their secret, out when revoked, one first key however many start at once."""

from __future__ import annotations

import threading

import pytest

from interleaf.errors import InvalidRequest, ObjectUnknown
from tests.workers.job_store import Store
from workers.store.api_keys import ApiKeys, Quotas


def test_a_key_is_found_by_its_secret_until_it_is_revoked(store: Store) -> None:
    keys = ApiKeys(store.database, clock=store.clock)
    made, secret = keys.create("  news\nroom ", ["jobs:write", "jobs:read", "jobs:read"], Quotas(5, None, 60))
    assert (made.name, made.scopes, made.quotas) == ("news room", ("jobs:read", "jobs:write"), Quotas(5, None, 60))
    assert keys.find(secret) == made
    assert (made.may("jobs:read"), made.may("admin")) == (True, False)
    for wrong in (secret[:-1], secret + "a", secret.swapcase(), secret[4:], "", "ilk_" + "\0" * 43):
        assert keys.find(wrong) is None
    store.clock.move(5)
    revoked = keys.revoke(made.id)
    assert revoked.revoked_at == store.clock.now
    store.clock.move(5)
    assert keys.revoke(made.id) == revoked
    assert keys.find(secret) is None
    assert not keys.in_force(made.id)
    for unknown in ("key_" + "0" * 26, "x", "\0"):
        with pytest.raises(ObjectUnknown):
            keys.revoke(unknown)


def test_secrets_differ_and_are_not_kept(store: Store) -> None:
    keys = ApiKeys(store.database)
    secrets = {keys.create("x", ["admin"])[1] for _ in range(50)}
    assert len(secrets) == 50
    assert not any(secret in repr(keys.list(100)) for secret in secrets)


def test_wrong_fields_are_named(store: Store) -> None:
    keys = ApiKeys(store.database)
    for name, scopes in (("", ["admin"]), ("x" * 201, ["admin"]), ("x", []), ("x", ["root"])):
        with pytest.raises(InvalidRequest):
            keys.create(name, scopes)  # type: ignore[arg-type]


def test_of_several_first_starts_one_makes_the_key(store: Store) -> None:
    keys = ApiKeys(store.database)
    made: list[str | None] = []
    threads = [threading.Thread(target=lambda: made.append(keys.first())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len([secret for secret in made if secret is not None]) == 1
    assert len(made) == 6


def test_keys_are_listed_by_page(store: Store) -> None:
    keys = ApiKeys(store.database, clock=store.clock)
    made = []
    for number in range(5):
        store.clock.move(1)
        made.append(keys.create(str(number), ["admin"])[0])
    newest_first = made[::-1]
    assert keys.list(2) == newest_first[:2]
    assert keys.list(9, after=newest_first[1].id) == newest_first[2:]
    assert keys.list(2, before=newest_first[3].id) == [newest_first[2], newest_first[1]]
