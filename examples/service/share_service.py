"""Makes a key that may order two pieces a day, orders with it until the day is used up, and tells what was used.

interleaf serve                                  # prints an administrator's key and the address
export INTERLEAF_SERVER=http://127.0.0.1:8000
export INTERLEAF_API_KEY=ilk_…
python examples/service/share_service.py examples/tides/brief.yaml
"""

from __future__ import annotations

import sys
from pathlib import Path

from interleaf import Client
from interleaf.errors import DayQuotaReached


def main(brief: Path) -> str:
    """The id of the key."""
    with Client() as admin:
        made = admin.keys.create("students", ["jobs:read", "jobs:write"], max_jobs_per_day=2)
        with Client(key=made.secret) as client:
            try:
                while True:
                    print(client.jobs.create(brief).wait(timeout_s=600).state)
            except DayQuotaReached as error:
                print(f"{error.used:.0f} of {error.limit} jobs are used; there is room again at {error.free_at}")
            for day in client.usage().data:
                print(f"{day.day}: {day.jobs} jobs, {day.seconds:.1f} s of work, {day.bytes:,} bytes of files")
        admin.keys.update(made.id, max_jobs_per_day=10)
        for quota in admin.usage(key_id=made.id).today.quotas:
            print(f"{quota.name}: {quota.left:.0f} left")
        return made.id


if __name__ == "__main__":
    main(Path(sys.argv[1]))
