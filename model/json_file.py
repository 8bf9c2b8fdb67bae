"""JSON file: an object out of a stranger's file, read with limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from interleaf.errors import CheckpointInvalid, shown

__all__ = ["read_object"]

# The published index of 1,902 tensors is 0.2 MB, a tokenizer.json of 92,544 pieces 10 MB.
MAX_JSON_BYTES: Final = 64 * 2**20


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in `path`. CheckpointInvalid when it is missing, too large, no JSON, or no object."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise CheckpointInvalid(path.name, f"is larger than {MAX_JSON_BYTES // 2**20} MiB.", "Take it anew.")
        found = json.loads(path.read_bytes())
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error})."
        raise CheckpointInvalid(path.name, problem, "Take the whole checkpoint.") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointInvalid(path.name, f"is no JSON ({shown(error)}).", "Fetch or copy it anew.") from error
    if not isinstance(found, dict):
        raise CheckpointInvalid(path.name, f"holds a {type(found).__name__}, not an object.", "Take it anew.")
    return found
