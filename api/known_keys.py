"""Known keys: keys that were found a moment ago, so that not every request asks the database for its key."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Final

from api.threads import Threads
from workers.store.api_keys import ApiKey, ApiKeys

__all__ = ["KnownKeys"]

FRESH_S: Final = 1.0
MAX_KEPT: Final = 1_000


class KnownKeys:
    """Keys by the hash of their secret, each for one second; what was no key is not remembered. A key that is revoked
    through this process is out at once (`forget`), one that is revoked elsewhere within that second."""

    def __init__(self, keys: ApiKeys, threads: Threads, *, time_s: Callable[[], float] = monotonic) -> None:
        self._keys = keys
        self._threads = threads
        self._time_s = time_s
        self._found: OrderedDict[bytes, tuple[ApiKey, float]] = OrderedDict()

    async def find(self, secret: str) -> ApiKey | None:
        """As `ApiKeys.find`."""
        digest = hashlib.sha256(secret.encode("utf-8", "replace")).digest()
        kept = self._found.get(digest)
        if kept is not None and self._time_s() - kept[1] < FRESH_S:
            return kept[0]
        asked_at = self._time_s()
        key = await self._threads.run(self._keys.find, secret)
        self._found.pop(digest, None)
        if key is not None:
            self._found[digest] = (key, asked_at)
            while len(self._found) > MAX_KEPT:
                self._found.popitem(last=False)
        return key

    def forget(self) -> None:
        """Ask for every key anew."""
        self._found.clear()
