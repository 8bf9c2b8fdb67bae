"""`interleaf serve` as it is in service, except that its compose worker is the paced one, and that no library worker
loads its encoder. Run as `python paced_service.py serve …`, with the settings in the environment."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "sdk")]

import workers.service.supervisor as supervisor  # noqa: E402
from interleaf.cli import main  # noqa: E402
from workers.service.part_command import ROLES, Role, part_command  # noqa: E402

PACED = Path(__file__).with_name("paced_part.py")


def paced(role: Role, *options: str) -> list[str]:
    return [sys.executable, str(PACED), role, *options] if role == "compose" else part_command(role, *options)


supervisor.part_command = paced
supervisor.ROLES = tuple(role for role in ROLES if role != "library")

if __name__ == "__main__":
    main()
