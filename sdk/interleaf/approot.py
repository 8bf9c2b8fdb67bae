"""Application root: makes the service folders importable; the only file that touches sys.path.

In a checkout they lie beside `sdk/`; in an installed wheel they lie in `interleaf/_app/`.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from interleaf.errors import Unsupported

FOLDERS = ("agents", "api", "evals", "model", "retrieval", "templates", "workers")


def application_root() -> Path:
    """The folder that holds the service folders. Unsupported when this is a client-only installation."""
    here = Path(__file__).resolve().parent
    for root in (here / "_app", here.parent.parent):
        if (root / "workers" / "wiring.py").is_file() and (root / "agents").is_dir():
            return root
    raise Unsupported(
        "interleaf",
        "this installation has only the client; composing in this process needs the workflow.",
        "Install it with: pip install 'interleaf[service]'",
    )


def enter() -> Path:
    """Make `from agents.graph import …` work, and make sure that it is ours. Safe to call again.

    Raises Unsupported when a foreign package of the same name was imported already or stands in front.
    """
    root = application_root()
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    for name in FOLDERS:
        if not (root / name).is_dir():
            continue
        loaded = sys.modules.get(name)
        if loaded is not None:
            places = [str(p) for p in getattr(loaded, "__path__", [])] or [getattr(loaded, "__file__", None) or ""]
        else:
            spec = importlib.util.find_spec(name)
            places = [str(p) for p in (spec.submodule_search_locations or [])] if spec else []
        if not any(Path(p).resolve() == root / name for p in places):
            raise Unsupported(
                name,
                f"a foreign package of this name is in the way ({', '.join(places) or 'not a package'}).",
                "Run interleaf in its own environment or process.",
            )
    return root
