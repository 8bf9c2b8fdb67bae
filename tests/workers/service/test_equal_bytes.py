"""Two runs from the same things give the same bytes: over `interleaf serve` with the real encoder, in other processes,
in another data folder beside other libraries, and under another seed of Python's hashes."""

from __future__ import annotations

import io
import os
import shutil
import signal
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from interleaf import Client
from interleaf.service.service_job import Job
from tests.workers.service.served import Served, wait_for

ROOT = Path(__file__).resolve().parents[3]
TIDES = ROOT / "examples" / "tides"
PROGRAM = (sys.executable, str(Path(__file__).with_name("whole_service.py")), "serve")
IN_LIBRARY = ("amphidromes.jpg", "estuary.jpg", "rule-of-twelfths.png", "springs-and-neaps.png", "month-of-tides.png")
FORMATS = ("html", "md")


@dataclass
class Place:
    """A service in a data folder of its own, and what lies beside it on its sender's disk."""

    served: Served
    folder: Path

    def pictures(self, name: str, *files: str) -> Path:
        """A folder with some of the pictures, and what is written beside them."""
        chosen = self.folder / name
        chosen.mkdir()
        for file in (*files, "manifest.csv"):
            shutil.copy(TIDES / "pictures" / file, chosen / file)
        return chosen

    def brief(self) -> dict[str, Any]:
        """Everything that a piece may be made of: notes that show a picture, a picture by its name, a library."""
        single = self.folder / "stripes_of_the_shore.png"
        shutil.copy(TIDES / "pictures" / "shore-stripes.png", single)
        return {
            "instruction": "How tides work, for people who live by the sea",
            "sources": [str(TIDES / "notes")],
            "pictures": [{"path": str(single)}],
            "libraries": ["tides"],
            "length_words": 500,
            "formats": list(FORMATS),
            "seed": 3,
        }

    def fill(self, client: Client, name: str, *files: str) -> None:
        library = client.libraries.create(name)
        job = client.libraries.ingest(library, self.pictures(name, *files)).wait(180)
        assert job.state == "succeeded", self.served.logs()

    def done(self, job: Job) -> Job:
        job.wait(300)
        assert job.state == "succeeded", (job.record.error, self.served.logs())
        return job

    def kill_composer(self) -> None:
        pid = self.served.part("compose")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: self.served.part("compose") not in (None, pid), self.served.logs)


@contextmanager
def place(folder: Path, hash_seed: str) -> Iterator[Place]:
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONHASHSEED", hash_seed)
        served = Served(folder / "data", PROGRAM, lease_s=6, upkeep_s=0.5)
    try:
        served.start()
        yield Place(served, folder)
    finally:
        served.close()


def read_whole(files: dict[str, bytes]) -> bytes:
    """All that can be read in them, what is packed too."""
    with zipfile.ZipFile(io.BytesIO(files["md"])) as bundle:
        packed = [name.encode() + bundle.read(name) for name in bundle.namelist()]
    return b"".join([files["html"], files["json"], *packed])


def files_of(client: Client, job: Job) -> dict[str, bytes]:
    assert job.result is not None
    found = {one.format: client.artifacts.read(one) for one in job.result.artifacts}
    assert set(found) == {*FORMATS, "json"}
    return found


@pytest.mark.slow
def test_the_same_again_has_the_same_bytes_here_and_elsewhere(tmp_path: Path) -> None:
    with place(tmp_path / "here", "1") as here, here.served.client() as client:
        here.fill(client, "tides", *IN_LIBRARY)
        first = here.done(client.jobs.create(here.brief()))
        files = files_of(client, first)
        here.kill_composer()
        again = here.done(first.rerun())
        assert again.result is not None
        assert again.result.rerun is not None
        assert (again.result.rerun.overrides, again.result.rerun.notices) == ((), ())
        assert files_of(client, again) == files
        twin = here.done(client.jobs.create(here.brief()))  # the files are sent anew, under other ids
        assert files_of(client, twin) == files
        ids = [job.id for job in (first, again, twin)] + [job.document().id for job in (first, again, twin)]

    with place(tmp_path / "elsewhere", "2") as there, there.served.client() as client:
        there.fill(client, "another", "estuary.jpg", "tide-machine.png")  # one of them will be in both
        there.fill(client, "tides", *IN_LIBRARY)
        other = there.done(client.jobs.create(there.brief()))
        found = files_of(client, other)
        for format in files:
            assert found[format] == files[format], format
        assert {figure.picture_id for figure in other.document().article.figures}, "no picture: this proves little"

        # One picture more, and a rerun says so.
        job = client.libraries.ingest(client.libraries.find("tides"), there.pictures("more", "resonance.png"))
        assert job.wait(180).state == "succeeded"
        moved = there.done(other.rerun({"formats": ["html"]}))
        assert moved.result is not None
        assert moved.result.rerun is not None
        assert [one.field for one in moved.result.rerun.overrides] == ["formats"]
        (notice,) = moved.result.rerun.notices
        assert notice.code == "rerun_library"
        assert other.result is not None
        for job_result in (other.result, moved.result):
            assert job_result.run is not None
            assert job_result.run.libraries["tides"][:12] in notice.message

    whole = read_whole(files)
    for word in (*ids, str(tmp_path), "upl_", "lib_", "job_", "run_"):
        assert word.encode() not in whole, word
