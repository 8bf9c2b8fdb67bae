"""The whole workflow through ModelWriter, with no change to the graph: killed while it drafts, it goes on with the
finished sections kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from interleaf.schema import Article
from tests.workers.run_by_model import HEADINGS

ROOT = Path(__file__).parents[2]


def started(home: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'sdk'}"}
    return subprocess.Popen([sys.executable, "-m", "tests.workers.run_by_model", str(home)], cwd=ROOT, env=environment)


def drafted(home: Path) -> int:
    log = home / "events.log"
    return log.read_text().count("progress draft") if log.exists() else 0


def asked(home: Path) -> list[str]:
    return (home / "asked.log").read_text().split("\n")[:-1]


def test_killed_in_the_middle_of_drafting_it_goes_on_with_the_finished_sections_kept(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    process = started(home)
    deadline = time.monotonic() + 120
    while drafted(home) < 3 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = drafted(home)
    assert 3 <= kept < len(HEADINGS), "killed while some sections were finished and some were not"
    assert asked(home) == [f"{k} of {len(HEADINGS)}" for k in range(len(HEADINGS))], "one batch of all sections"
    (home / "asked.log").unlink()

    again = started(home)
    assert again.wait(timeout=120) == 0
    rest = [int(line.split()[0]) for line in asked(home)]
    # A section is told of a moment before it is saved: of those told, the last may be asked for again.
    assert 0 < len(rest) < len(HEADINGS)
    assert set(rest).isdisjoint(range(kept - 2)), "the short ones, which were finished, are not asked for again"
    article = Article.model_validate_json((home / "runs" / "r-by-model" / "article.json").read_bytes())
    assert [b.text for b in article.text_blocks if b.type == "heading"] == list(HEADINGS)
    assert article.run.writer == "slow"
