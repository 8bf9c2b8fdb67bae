"""Database away: PostgreSQL is cut off while jobs are ordered and worked on. Requests are answered with 503 and
Retry-After, nothing is half-written, and everything goes on when it is back.

    python -m tests.chaos.database_away --jobs 20 --seconds 20
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence

import httpx
from sqlalchemy import select

from tests.chaos.audit import Audit
from tests.chaos.options import options
from tests.chaos.orders import order
from tests.chaos.service import ChaosService
from tests.chaos.verdict import Verdict
from workers.store.tables import JobBriefRow, UploadRow

__all__ = ["database_away"]

AWAY = httpx.codes.SERVICE_UNAVAILABLE


class _Asking:
    """Requests of every kind, one after another, each order under a key of its own."""

    def __init__(self, service: ChaosService) -> None:
        self.answers: list[tuple[str, int]] = []
        self.wrong: list[str] = []
        self.accepted: dict[str, str] = {}
        self.refused: set[str] = set()
        self.uploads: set[str] = set()
        self._service = service

    def round(self, http: httpx.Client, number: int) -> None:
        """An order, an upload, a list, a key's own question: whatever is answered is written down."""
        name = f"order-{number}"
        answer = self._ask(http, "POST", "/v1/jobs", json=order(name), headers={"Idempotency-Key": name})
        if answer is not None and answer.status_code == httpx.codes.ACCEPTED:
            self.accepted[name] = answer.json()["id"]
        else:
            self.refused.add(name)
        upload = self._ask(http, "POST", "/v1/uploads", files={"file": (f"{name}.md", f"# {name}\n\nWater.\n" * 500)})
        if upload is not None and upload.status_code == httpx.codes.CREATED:
            self.uploads.add(upload.json()["id"])
        self._ask(http, "GET", "/v1/jobs")
        self._ask(http, "GET", "/readyz")

    def _ask(self, http: httpx.Client, method: str, path: str, **sent: object) -> httpx.Response | None:
        try:
            answer = http.request(method, path, **sent)  # type: ignore[arg-type]
        except httpx.HTTPError as error:
            self.wrong.append(f"{method} {path}: {type(error).__name__}")
            return None
        self.answers.append((f"{method} {path}", answer.status_code))
        if answer.is_error:
            problem = answer.headers.get("content-type", "").startswith("application/problem+json")
            if answer.status_code != AWAY or not problem or not answer.headers.get("retry-after", "").isdecimal():
                self.wrong.append(f"{method} {path}: {answer.status_code} {dict(answer.headers)}")
        return answer


def database_away(jobs: int = 20, seconds: float = 20.0) -> Verdict:
    """`seconds`: how long it is away. Half of the orders come before, the rest from a thread all the time."""
    verdict = Verdict(f"PostgreSQL away for {seconds:g} s")
    with ChaosService("postgres", lease_s=4.0) as service, service.requests() as http:
        service.warm()
        service.pace(0.2)
        asking, ending = _Asking(service), threading.Event()
        numbers = iter(range(10_000))
        for _ in range(jobs // 2):
            asking.round(http, next(numbers))

        def go_on() -> None:
            with service.requests() as own:
                while not ending.wait(0.1):
                    asking.round(own, next(numbers))

        thread = threading.Thread(target=go_on, name="asking")
        thread.start()
        try:
            time.sleep(1.0)
            service.database.take_away()
            told_s = service.wait_for(lambda: service.answers(AWAY), "/readyz says so")
            seen = len(asking.answers)
            time.sleep(seconds)
            during = Counter(asking.answers[seen:])
            service.database.bring_back()
            back_s = service.wait_for(service.answers, "/readyz is well again")
        finally:
            ending.set()
            thread.join()
        # The names under which orders were refused are not used up: the same order is taken now, once.
        again = sorted(asking.refused)
        for name in again:
            body, key = order(name), {"Idempotency-Key": name}
            first = http.post("/v1/jobs", json=body, headers=key)
            second = http.post("/v1/jobs", json=body, headers=key)
            if first.status_code != httpx.codes.ACCEPTED or first.json()["id"] != second.json().get("id"):
                asking.wrong.append(f"{name} again: {first.status_code}, {second.status_code}")
            else:
                asking.accepted[name] = first.json()["id"]
        service.pace(0.0)
        accepted = list(asking.accepted.values())
        with service.client() as client:
            for job_id in accepted:
                client.jobs.get(job_id).wait(240)
        audit = Audit(service, accepted)
        audit.run()
        verdict.tell("seconds until /readyz said so", f"{told_s:.1f}")
        verdict.tell("seconds from its return until ready", f"{back_s:.1f}")
        verdict.equal("answers while it was away", sorted({status for _, status in during}), [AWAY.value])
        verdict.tell("of which", ", ".join(f"{count} {path}" for (path, _), count in sorted(during.items())))
        verdict.none("other answers than 503 with Retry-After and a problem", asking.wrong)
        verdict.tell("orders refused, then taken under the same key", len(again))
        audit.tell(verdict)
        verdict.none("orders taken twice", _twice(service))
        verdict.none("uploads half-written", _half_written(service, asking.uploads))
        unlike = [f"{job.id}: {job.state}" for job in audit.jobs.values() if job.state != "succeeded"]
        verdict.none("jobs that did not succeed", unlike)
        if verdict.wrong:
            verdict.logs = service.last_words()
    return verdict


def _twice(service: ChaosService) -> list[str]:
    """Titles of which there are two orders: each was ordered under one key."""
    with service.store.database.reading() as session:
        counts = Counter(str(brief["title"]) for brief in session.scalars(select(JobBriefRow.brief)))
    return [f"{title}: {count}" for title, count in counts.items() if count > 1]


def _half_written(service: ChaosService, answered: set[str]) -> list[str]:
    """Uploads that were answered with 201 and are not whole, and rows without their file."""
    with service.store.database.reading() as session:
        rows = session.execute(select(UploadRow.id, UploadRow.file_key, UploadRow.bytes)).all()
    kept = {file.key: file.bytes for file in service.store.artifacts.list()}
    torn = [row.id for row in rows if kept.get(row.file_key) != row.bytes]
    return torn + sorted(answered - {row.id for row in rows})


def main(arguments: Sequence[str]) -> int:
    said = options(__doc__, jobs=20, seconds=20.0).parse_args(arguments)
    verdict = database_away(said.jobs, said.seconds)
    print(verdict.table)
    return verdict.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
