"""Artifact store: files appear whole or not at all, come back by range, and what cannot be written says why."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interleaf.errors import ArtifactMissing, FileOverLimit, OutputUnwritable, SettingInvalid
from workers.store.artifacts import ArtifactStore, require_key

KEY = "jobs/job_1/file"


@pytest.fixture(params=["local", "object store"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ArtifactStore]:
    """Over a folder, and over a file system of fsspec that is none of the disk (as S3 is)."""
    if request.param == "local":
        yield ArtifactStore(str(tmp_path / "store"))
        return
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield ArtifactStore("memory://bucket/folder")
    memory.store.clear()


def everything(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_what_was_put_comes_back_with_its_size_and_hash(store: ArtifactStore) -> None:
    content = os.urandom(700_000)
    stored = store.put(KEY, io.BytesIO(content))
    assert (stored.bytes, stored.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert store.read_all(KEY) == content
    assert store.size(KEY) == len(content)
    assert store.exists(KEY)
    assert [(f.key, f.bytes) for f in store.list()] == [(KEY, len(content))]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=2000), st.integers(0, 2500), st.none() | st.integers(0, 2500))
def test_any_range_is_the_same_range_of_the_content(
    store: ArtifactStore, content: bytes, start: int, length: int | None
) -> None:
    store.put(KEY, [content[:7], content[7:]])
    end = None if length is None else start + length
    assert b"".join(store.read(KEY, start, length)) == content[start:end]


def test_a_missing_file_is_said_before_the_first_piece(store: ArtifactStore) -> None:
    for ask in (store.read, store.size, store.read_all):
        with pytest.raises(ArtifactMissing, match="jobs/job_1/file"):
            ask(KEY)
    assert not store.exists(KEY)
    assert not store.delete(KEY)


def test_delete_and_list_by_folder(store: ArtifactStore) -> None:
    for key in ("jobs/job_1/a", "jobs/job_1/b", "jobs/job_10/a", "uploads/upl_1"):
        store.put(key, [key.encode()])
    assert [f.key for f in store.list("jobs/job_1")] == ["jobs/job_1/a", "jobs/job_1/b"]
    assert store.delete("jobs/job_1/a")
    assert [f.key for f in store.list()] == ["jobs/job_1/b", "jobs/job_10/a", "uploads/upl_1"]
    assert store.delete("jobs/job_1/b")
    assert list(store.list("jobs/job_1")) == []
    store.put("jobs/job_1/a", [b"again"])
    assert store.read_all("jobs/job_1/a") == b"again"


def test_a_stream_that_breaks_or_is_too_large_leaves_what_stood_there(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "store"))
    store.put(KEY, [b"first"])

    def breaks() -> Iterator[bytes]:
        yield b"x" * 300_000
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        store.put(KEY, breaks())
    with pytest.raises(FileOverLimit, match="10 bytes"):
        store.put("jobs/job_1/other", io.BytesIO(b"x" * 11), max_bytes=10)
    assert store.read_all(KEY) == b"first"
    assert [f.key for f in store.list()] == [KEY]
    assert len(everything(tmp_path)) == 1


@pytest.mark.parametrize(
    "key",
    ["../x/y", "jobs/../../etc/passwd", "/jobs/a", "jobs//a", "jobs", "jobs/", "jobs/A", "jobs/a b", "jobs/.part-1",
     "a/b/c/d/e/f", "jobs/" + "a" * 101, "jobs/ä", "jobs/a\n", ""],
)  # fmt: skip
def test_a_key_that_is_not_ours_is_refused(tmp_path: Path, key: str) -> None:
    store = ArtifactStore(str(tmp_path / "store"))
    for use in (store.delete, store.read, store.exists, store.size, require_key):
        with pytest.raises(ValueError, match="not a key"):
            use(key)
    with pytest.raises(ValueError, match="not a key"):
        store.put(key, [b""])


def test_a_full_disk_is_said_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ArtifactStore(str(tmp_path / "store"))
    store.put(KEY, [b"before"])

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("workers.store.artifacts.os.fsync", full)
        with pytest.raises(OutputUnwritable, match="is full"):
            store.put("jobs/job_1/large", [b"x" * 1000])
    assert [path.name for path in everything(tmp_path)] == ["file"]
    assert store.put("jobs/job_1/large", [b"now it fits"]).bytes == 11


def test_a_full_file_system_really_refuses_and_works_again(tmp_path: Path) -> None:
    """RLIMIT_FSIZE in a process of its own: the kernel refuses the write, as a quota does."""
    import subprocess
    import sys

    program = (
        "import resource, signal, sys\n"
        "from workers.store.artifacts import ArtifactStore\n"
        "from interleaf.errors import OutputUnwritable\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))\n"
        "store = ArtifactStore(sys.argv[1])\n"
        "try:\n    store.put('jobs/job_1/x', [b'y' * 100_000])\n"
        "except OutputUnwritable as error:\n    print(error.message)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))\n"
        "print(store.put('jobs/job_1/x', [b'y' * 100_000]).bytes)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "store")],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONPATH": "sdk:."},
        check=True,
    )
    assert "is full" in done.stdout
    assert done.stdout.splitlines()[-1] == "100000"
    assert [path.name for path in everything(tmp_path)] == ["x"]


def test_many_writers_of_one_key_leave_one_whole_file(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "store"))
    contents = [bytes([n]) * 200_000 for n in range(8)]
    threads = [threading.Thread(target=store.put, args=(KEY, [content])) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.read_all(KEY) in contents
    assert len(everything(tmp_path)) == 1


def test_parts_of_killed_writers_are_swept_and_never_listed(tmp_path: Path) -> None:
    store = ArtifactStore(str(tmp_path / "store"))
    store.put(KEY, [b"whole"])
    part = tmp_path / "store" / "jobs" / "job_1" / ".part-abc"
    part.write_bytes(b"half")
    assert [f.key for f in store.list()] == [KEY]
    assert store.sweep(datetime.now(UTC) - timedelta(hours=1)) == 0
    assert store.sweep(datetime.now(UTC) + timedelta(seconds=5)) == 1
    assert not part.exists()
    assert store.read_all(KEY) == b"whole"


def test_a_place_that_cannot_be_used_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputUnwritable, match="INTERLEAF_ARTIFACTS"):
        ArtifactStore(str(tmp_path / "file")).put(KEY, [b""])
    with pytest.raises(SettingInvalid, match="INTERLEAF_ARTIFACTS"):
        ArtifactStore("nosuch://bucket")
