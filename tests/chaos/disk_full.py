"""Disk full: the artifact store has no space left. The job fails with that reason, what was kept stays whole, nothing
is left half-written, and everything works again when there is space.

    python -m tests.chaos.disk_full --jobs 6 --database sqlite|postgres
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from interleaf import Client
from interleaf.service.service_job import Job
from tests.chaos.audit import Audit
from tests.chaos.database import Kind
from tests.chaos.options import options
from tests.chaos.orders import order
from tests.chaos.service import ChaosService
from tests.chaos.small_disk import SmallDisk, as_root, small_disk
from tests.chaos.verdict import Verdict

__all__ = ["disk_full"]

SIZE_BYTES = 4_000_000
PROBLEM = "application/problem+json"


def disk_full(jobs: int = 6, database: Kind = "sqlite") -> Verdict:
    """`jobs`: how many are ordered in each of its three parts. Unsupported when no file system may be mounted."""
    verdict = Verdict(f"disk full, {database}")
    with (
        small_disk(SIZE_BYTES) as disk,
        ChaosService(database, lease_s=4.0, artifacts=str(disk.folder / "kept")) as service,
    ):
        service.warm()
        with service.client() as client:
            kept = client.jobs.get(service.warmed[0])
            disk.fill()
            full = _ordered(client, jobs, "Full")
            upload = _upload(service)
            verdict.none("jobs that did not fail for want of space", _without_reason(full, ("failed",)))
            verdict.hold(
                "an upload meanwhile", upload, upload.startswith("507") and PROBLEM in upload, f"507 {PROBLEM}"
            )
            verdict.equal("the service counts as ready", service.answers(), True)
            verdict.none("files left half-written", _parts(disk))

            # Room for the article itself, and not for the page that is made of it.
            disk.empty()
            sizes = {file.format: file.bytes for file in kept.result.artifacts} if kept.result else {}
            disk.fill(left_bytes=sizes["json"])
            tight = _ordered(client, 1, "Tight")
            verdict.tell("with room for the article alone", ", ".join(job.state for job in tight))
            verdict.none("jobs that tell no reason", _without_reason(tight, ("failed", "incomplete")))
            verdict.none("files left half-written then", _parts(disk))

            disk.empty()
            again = [job.retry() for job in [*full, *tight]]
            fresh = [client.jobs.create(order(f"Fresh {number}")) for number in range(jobs)]
            for job in [*again, *fresh]:
                job.wait(240)
            worse = [f"{job.id}: {job.state}" for job in [*again, *fresh] if job.state != "succeeded"]
            verdict.none("jobs that fail when there is space", worse)
            upload = _upload(service)
            verdict.hold("an upload then", upload, upload.startswith("201"), "201")
        audit = Audit(service, [job.id for job in [*full, *tight, *again, *fresh]])
        audit.run()
        audit.tell(verdict)
        if verdict.wrong:
            verdict.logs = service.last_words()
    return verdict


def _ordered(client: Client, jobs: int, title: str) -> list[Job]:
    """So many jobs that have ended."""
    made = [client.jobs.create(order(f"{title} {number}")) for number in range(jobs)]
    return [job.wait(240) for job in made]


def _without_reason(jobs: Sequence[Job], states: Sequence[str]) -> list[str]:
    """Jobs that ended in another way, or do not say that the disk is full."""
    return [
        f"{job.id}: {job.state} {job.record.error}"
        for job in jobs
        if job.state not in states
        or job.record.error is None
        or job.record.error.code != "output_unwritable"
        or "full" not in job.record.error.detail
    ]


def _upload(service: ChaosService) -> str:
    """What the service answers to a file: status and kind."""
    with service.requests() as http:
        answer = http.post("/v1/uploads", files={"file": ("notes.md", "# Notes\n\nWater rises and falls.\n" * 1_000)})
    return f"{answer.status_code} {answer.headers.get('content-type', '')}"


def _parts(disk: SmallDisk) -> list[str]:
    return sorted(path.name for path in disk.folder.rglob(".part-*"))


def main(arguments: Sequence[str]) -> int:
    said = options(__doc__, jobs=6, seconds=240.0).parse_args(arguments)
    as_root("tests.chaos.disk_full", list(arguments))
    verdict = disk_full(said.jobs, said.database)
    print(verdict.table)
    return verdict.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
