"""The public surface is what `__all__` says, and importing it is light."""

from __future__ import annotations

import subprocess
import sys

import interleaf
import interleaf.schema

HEAVY = ("torch", "numpy", "faiss", "langgraph", "PIL", "sklearn", "transformers", "fastapi", "uvicorn")


def test_all_names_resolve_and_are_sorted() -> None:
    assert list(interleaf.__all__) == sorted(interleaf.__all__)
    for name in interleaf.__all__:
        assert getattr(interleaf, name) is not None
    for name in interleaf.schema.__all__:
        assert getattr(interleaf.schema, name) is not None


def _modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint('\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.split(".")[0] for line in done.stdout.splitlines()}


def test_importing_interleaf_loads_nothing_heavy() -> None:
    assert not _modules_after("from interleaf import Brief, Composer; Composer()") & set(HEAVY)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "sys.argv = ['interleaf', '--help']\n"
        "from interleaf.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code"
    )
    assert not _modules_after(code) & set(HEAVY)


def test_the_client_is_light() -> None:
    """What speaks to a service needs the base install alone; and who does not speak to one does not load it."""
    service_only = {"sqlalchemy", "celery", "redis", "alembic", "starlette"}
    made = "from interleaf import AsyncClient, Client; Client('http://h', 'ilk_x'); AsyncClient('http://h', 'ilk_x')"
    assert not _modules_after(made) & (set(HEAVY) | service_only)
    assert not _modules_after("import interleaf") & {"httpx", "pydantic", "anyio", "yaml"}
    assert "httpx" not in _modules_after("from interleaf import Brief, Composer; Composer()")
