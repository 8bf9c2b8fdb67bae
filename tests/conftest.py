"""Fixtures that several folders share. A component that is missing skips on a laptop and fails in `.ci/run`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

# Two processes share the cores, and a pool of threads in each would only wait for the other's: one thread for torch,
# numpy and faiss, here and in every process that a test starts. Set before any of them is imported, which read it once.
for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(pool, "1")

# A shell starts what runs in the background with Ctrl-C ignored, and every program that a test starts would inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Before anything has asked where temporary files go.
from tests.run_folder import RunFolder  # noqa: E402

RUN_FOLDER = RunFolder()
RUN_FOLDER.settle()

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

# A setting of the tests, not of the product: workers/settings.py has no business with it.
REQUIRE_ALL = os.environ.get("INTERLEAF_TESTS_REQUIRE_ALL") == "1"
# On a laptop hypothesis looks further at every run; where everything is required, the same examples are drawn each
# time, so that what lands is decided by the change and not by luck. How long an example takes is decided by what else
# the machine does: no example fails for that.
settings.register_profile("new examples", deadline=None)
settings.register_profile("same examples", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("same examples" if REQUIRE_ALL else "new examples")
CHROMIUM_ARGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def missing(component: str, remedy: str) -> NoReturn:
    """Skip, or fail where everything is required, because a component is not there."""
    said = f"{component} is not available; {remedy}"
    if REQUIRE_ALL:
        pytest.fail(said + " (INTERLEAF_TESTS_REQUIRE_ALL=1)")
    pytest.skip(said)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if RUN_FOLDER.path is not None and config.option.basetemp is None:
        config.option.basetemp = RUN_FOLDER.path / "t"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first: at the end nobody waits for it while another process has nothing left to do. Much
    of it is waiting, too, and the other process has the cores for the many short ones."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_sessionfinish(exitstatus: int) -> None:
    RUN_FOLDER.keep = exitstatus != 0


def pytest_unconfigure() -> None:
    RUN_FOLDER.leave()  # what else clears up in there has done so


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL server of this session's own, as a URL that ends in the name of its first database."""
    try:
        import pgserver
    except ImportError:
        missing("pgserver", "pip install pgserver")
    # Right under the temporary folder: as root the server runs as a user of its own, who must be able to get there.
    folder = Path(tempfile.mkdtemp(prefix="interleaf-postgres-"))
    try:
        server = pgserver.get_server(folder, cleanup_mode="delete")
    except (OSError, subprocess.SubprocessError) as error:
        missing("PostgreSQL", f"pgserver cannot start it here ({error})")
    # No test pulls the plug of the machine; killed processes lose nothing without fsync.
    server.psql("ALTER SYSTEM SET fsync = off;")
    server.psql("SELECT pg_reload_conf();")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless Chromium with a fresh profile: a playwright Browser; open a context of its own in each test.

    For a module and not for all of them: while it is there a loop of events runs in this thread, and tests that run
    one of their own cannot."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        missing("chromium", "install the Debian package chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright", "pip install playwright")
    # playwright gives each launch a profile folder of its own under the temporary folder.
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=list(CHROMIUM_ARGS))
        yield browser
        browser.close()
