"""A part of the service with the writer and the embedder of paced_worker.py: `python paced_part.py ROLE …`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "sdk")]

import tests.workers.paced_worker  # noqa: E402, F401 (puts its writer and its embedder in place)
from workers.service.worker_part import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
