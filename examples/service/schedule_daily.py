"""Makes a schedule of a brief, tells when it is due, runs it once now, and saves the page.

interleaf serve                                  # prints the key and the address
export INTERLEAF_SERVER=http://127.0.0.1:8000
export INTERLEAF_API_KEY=ilk_…
python examples/service/schedule_daily.py examples/tides/brief.yaml out
"""

from __future__ import annotations

import sys
from pathlib import Path

from interleaf import Client
from interleaf.brief_file import brief_fields


def main(brief_path: Path, folder: Path) -> Path:
    """Every working day at half past seven in Berlin, published at eight; the path of the page that it makes now."""
    fields, base = brief_fields(brief_path)
    with Client() as client:
        schedule = client.schedules.create(
            "Tides of the day",
            fields | {"title": "Tides for {{ harbour }}, {{ weekday }}, {{ date }}"},
            base=base,
            cron="30 7 * * MON-FRI",
            time_zone="Europe/Berlin",
            variables={"harbour": ["Brest", "Cork"]},
            overlap="queue",
            publish_after_s=1_800,
        )
        for time in schedule.next_times:
            print(f"due {time:%A %Y-%m-%d %H:%M %Z}")
        job = client.schedules.trigger(schedule)
        document = job.wait(timeout_s=600).document()
        print(f"{document.title}: published at {document.publish_at}")
        for run in client.schedules.each_run(schedule):
            print(f"run {run.number}: {run.outcome}, {run.job_id}")
        client.schedules.pause(schedule)
        return client.artifacts.download(document.artifact("html"), folder / "tides.html")


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), Path(sys.argv[2])))
