"""Courier: sends the messages of webhooks, from threads of its own, so that a slow receiver holds up nobody else.

The database is its queue: it needs neither Redis nor a worker, and several couriers share the work. Run it wherever the
rounds of upkeep are; a courier that is killed has claimed what it was sending for a while only.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from interleaf.errors import InterleafError, TargetAway, TargetRefused
from interleaf.webhooks import sign
from workers.store.clock import Clock, utc_now
from workers.store.deliveries import ClaimedDelivery, Deliveries, Outcome

if TYPE_CHECKING:
    from workers.outbound.outbound import Outbound, Reply

__all__ = ["Courier"]

log = logging.getLogger(__name__)

SENDERS: Final = 8
"""Messages on their way at a time."""
OF_ONE_WEBHOOK: Final = 2
"""Of these, for one webhook: one that hangs leaves room for the others."""
LOOK_S: Final = 1.0
"""Between two looks when there was nothing to send."""
LEASE_S: Final = 60.0
"""After so long somebody else may send what was claimed: more than an attempt may take (outbound.py)."""
STOP_S: Final = 5.0


class Courier:
    """Claims what is due and sends it until it is stopped."""

    def __init__(
        self,
        deliveries: Deliveries,
        outbound: Callable[[], Outbound],
        *,
        clock: Clock = utc_now,
        look_s: float = LOOK_S,
        lease_s: float = LEASE_S,
    ) -> None:
        """`outbound` is called once, when there is something to send."""
        self._deliveries, self._make_outbound, self._clock = deliveries, outbound, clock
        self._look_s, self._lease_s = look_s, lease_s
        self._outbound: Outbound | None = None
        self._ending = threading.Event()
        self._changed = threading.Condition()
        self._on_their_way: Counter[str] = Counter()
        self._ended = 0
        self._senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="send")
        self._thread = threading.Thread(target=self._work, name="courier", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Claim nothing more, and give what is on its way a few seconds. What does not end in time is sent again."""
        self._ending.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(STOP_S)
        until = time.monotonic() + STOP_S
        with self._changed:
            while self._on_their_way and time.monotonic() < until:
                self._changed.wait(0.1)
        self._senders.shutdown(wait=False, cancel_futures=True)

    def send_one(self) -> bool:
        """Send one message that is due, on this thread; False when there is none. ServiceAway."""
        claimed = self._deliveries.claim(self._lease_s)
        if claimed is not None:
            self._send(claimed)
        return claimed is not None

    def _work(self) -> None:
        while not self._ending.is_set():
            seen = self._ended
            try:
                busy = self._has_begun()
            except InterleafError as error:
                log.warning("webhooks wait: %s", error)
                busy = False
            except Exception:
                log.exception("webhooks wait")
                busy = False
            if not busy:
                self._rest(seen)

    def _rest(self, seen: int) -> None:
        """Until it is time to look again, or one more than `seen` has ended, which makes room."""
        with self._changed:
            self._changed.wait_for(lambda: self._ending.is_set() or self._ended != seen, self._look_s)

    def _has_begun(self) -> bool:
        """Hand a message that is due to a sender that is free; False when one of them is missing."""
        with self._changed:
            if self._on_their_way.total() >= SENDERS:
                return False
            full = {webhook_id for webhook_id, count in self._on_their_way.items() if count >= OF_ONE_WEBHOOK}
        claimed = self._deliveries.claim(self._lease_s, but_webhooks=full)
        if claimed is None:
            return False
        with self._changed:
            self._on_their_way[claimed.webhook_id] += 1
        self._senders.submit(self._send_apart, claimed)
        return True

    def _send_apart(self, claimed: ClaimedDelivery) -> None:
        try:
            self._send(claimed)
        except InterleafError as error:
            log.warning("message %s was sent and is sent again: %s", claimed.id, error)
        except Exception:
            log.exception("message %s was sent and is sent again", claimed.id)
        finally:
            with self._changed:
                self._on_their_way[claimed.webhook_id] -= 1
                self._on_their_way += Counter()  # drops those that are at nought
                self._ended += 1
                self._changed.notify_all()

    def _send(self, claimed: ClaimedDelivery) -> None:
        at, begun = self._clock(), time.monotonic()
        status: int | None = None
        retry_after_s: float | None = None
        try:
            reply = self._posted(claimed, int(at.timestamp()))
            status, problem, retry_after_s = reply.status, _problem(reply), reply.retry_after_s
        except (TargetRefused, TargetAway) as error:
            problem = f"{error.thing} {error.problem}"
        except Exception:
            # Counted like any other failure: a message at which this program fails must not go round for ever.
            log.exception("message %s could not be sent", claimed.id)
            problem = "the service failed at it; its log says why."
        taken_s = round(time.monotonic() - begun, 3)
        self._deliveries.record(claimed, Outcome(at, taken_s, status, problem, retry_after_s))

    def _posted(self, claimed: ClaimedDelivery, at_s: int) -> Reply:
        if self._outbound is None:
            self._outbound = self._make_outbound()
        headers = {
            "content-type": "application/json",
            "webhook-id": claimed.id,
            "webhook-timestamp": str(at_s),
            "webhook-signature": " ".join(sign(one, claimed.id, at_s, claimed.body) for one in claimed.secrets),
        }
        return self._outbound.post(claimed.url, claimed.body, headers)


def _problem(reply: Reply) -> str:
    """What is wrong with an answer; empty where the message was taken."""
    if reply.accepted:
        return ""
    moved = ", and redirects are not followed" if reply.status // 100 == 3 else ""
    return f"answered {reply.status}{moved}."
