"""Follows a job of a service, event by event. Where the connection breaks it comes back by itself; where the program is
stopped, the next start goes on after the last event that was told.

interleaf compose examples/tides/brief.yaml --detach     # prints the job's id
python examples/service/follow_events.py job_… position.txt
"""

from __future__ import annotations

import sys
from pathlib import Path

from interleaf import Client


def main(job_id: str, position: Path) -> str:
    """Tell what the job tells; its state at the end. `position` keeps the id of the last event that was told."""
    after = int(position.read_text()) if position.exists() else 0
    with Client() as client:
        job = client.jobs.get(job_id)
        for event in job.events(after):
            if event.name == "gap":
                print(f"     events before {event.data['first_id']} are no longer kept")
            else:
                print(f"{event.id:>4} {event.name} {event.data.get('message', '')}")
            position.write_text(str(event.id))
        return job.refresh().state


if __name__ == "__main__":
    print(main(sys.argv[1], Path(sys.argv[2])))
