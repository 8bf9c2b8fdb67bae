"""Orders an article from a service, says how long it will probably take, waits for it, and saves its files.

interleaf serve                                  # prints the key and the address
export INTERLEAF_SERVER=http://127.0.0.1:8000
export INTERLEAF_API_KEY=ilk_…
python examples/service/submit_and_wait.py examples/tides/brief.yaml out
"""

from __future__ import annotations

import sys
from pathlib import Path

from interleaf import Client


def main(brief: Path, folder: Path) -> list[Path]:
    """Order the brief; the paths of its files."""
    with Client() as client:
        expected = client.estimate(brief)
        print(f"about {expected.seconds.likely:.0f} s, by {expected.basis} earlier jobs")
        job = client.jobs.create(brief, metadata={"made_by": "example"})
        print(f"{job.id} is {job.state}")
        document = job.wait(timeout_s=600).document()  # raises why there is none
        print(f"{document.title}: {len(document.article.figures)} pictures")
        return [client.artifacts.download(one, folder / f"article.{one.format}") for one in document.artifacts]


if __name__ == "__main__":
    for path in main(Path(sys.argv[1]), Path(sys.argv[2])):
        print(path)
