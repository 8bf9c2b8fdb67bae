"""Orders an article from a service, approves its outline, follows its events, and saves the page.

interleaf serve                                  # prints the key and the address
export INTERLEAF_SERVER=http://127.0.0.1:8000
export INTERLEAF_API_KEY=ilk_…
python examples/service/order_article.py examples/tides/brief.yaml out
"""

from __future__ import annotations

import sys
from pathlib import Path

from interleaf import Client
from interleaf.brief_file import read_brief
from interleaf.schema import Approvals
from interleaf.service.service_job import Job


def show(job: Job) -> None:
    """Approve what the job asks, and tell what it does until it has ended."""
    for event in job.events():
        print(f"{event.id:>4}  {event.name}")
        if event.name == "job.awaiting_input" and job.refresh().record.input is not None:
            question = job.question()
            for section in question.question.get("outline", {}).get("sections", ()):
                print(f"      - {section['heading']}")
            job.respond("approve", request_id=question.request_id)


def main(brief_path: Path, folder: Path) -> Path:
    """Order the brief with approval of its outline; the path of the page."""
    brief, base = read_brief(brief_path)
    approvals = Approvals(outline=True, timeout_s=3_600, on_timeout="approve")
    with Client() as client:
        job = client.jobs.create(brief.model_copy(update={"approvals": approvals}), base=base)
        print(f"{job.id} is {job.state}")
        show(job)
        document = job.wait().document()
        return client.artifacts.download(document.artifact("html"), folder / "article.html")


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), Path(sys.argv[2])))
