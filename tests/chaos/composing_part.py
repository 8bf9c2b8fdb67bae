"""The part that `interleaf serve compose` runs, except that its embedder needs no weights and that a section takes as
long as the file `pace` in the data folder says: `python -m tests.chaos.composing_part`."""

from __future__ import annotations

import sys

import tests.workers.paced_worker  # noqa: F401 (its import puts the paced writer in place)
from workers.service.worker_part import main

if __name__ == "__main__":
    sys.exit(main(["compose"]))
