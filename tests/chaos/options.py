"""Options of the chaos programs, the same for all of them."""

from __future__ import annotations

import argparse

__all__ = ["options"]


def options(said: str | None, *, jobs: int, seconds: float) -> argparse.ArgumentParser:
    """Reads `jobs`, `seconds`, `database` and `seed`; the first two have defaults of the program's."""
    parser = argparse.ArgumentParser(description=said, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=jobs, help=f"how many (default: {jobs})")
    parser.add_argument("--seconds", type=float, default=seconds, help=f"how long (default: {seconds:g})")
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--seed", type=int, default=1, help="of what is left to chance")
    return parser
