"""`interleaf serve` as it is in service, run from the source tree: `python whole_service.py serve …`."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "sdk")]

from interleaf.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
