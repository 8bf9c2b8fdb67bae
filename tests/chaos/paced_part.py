"""The part that `interleaf serve ROLE` runs, except that its embedder needs no weights and that sections, as well as
edits by the writer, take as long as the file `pace` in the data folder says: `python -m tests.chaos.paced_part ROLE`.
"""

from __future__ import annotations

import sys

import tests.workers.editing_worker  # noqa: F401 (its import puts the paced writer in place)
from workers.service.worker_part import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
