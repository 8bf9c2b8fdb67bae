"""Notes are read in any common encoding, or refused by name; hostile names and huge files cannot hurt."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interleaf.errors import SourceUnreadable
from interleaf.schema import Source
from workers.run.source_file import read_sources, source_id

LIMIT = 10 * 2**20
GERMAN = "Über die Brücke führt eine schöne Straße. Größere Züge fahren häufig früh über die Höhen. " * 5


def _read(path: Path, limit: int = LIMIT):
    return read_sources((Source(path=str(path)),), Path("/"), limit)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom"])
def test_unicode_encodings_are_read_as_they_are(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "note.md"
    raw = b"\xff\xfe" + GERMAN.encode("utf-16-le") if encoding == "utf-16-le-bom" else GERMAN.encode(encoding)
    path.write_bytes(raw)
    (read,), notices = _read(path)
    assert read.text.text == GERMAN
    assert not notices


def test_a_legacy_encoding_is_guessed_and_told(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes(GERMAN.encode("cp1252"))
    (read,), notices = _read(path)
    assert "Brücke" in read.text.text
    assert [n.code for n in notices] == ["encoding_guessed"]


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("zeros.txt", b"text\x00\x00\x00" * 50),
        ("program.md", bytes(range(256)) * 40),
        ("half.txt", b"\xff\xfea"),
        ("paper.pdf", b"%PDF-1.7"),
    ],
)
def test_what_is_not_text_is_refused_by_name(tmp_path: Path, name: str, raw: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(raw)
    with pytest.raises(SourceUnreadable) as caught:
        _read(path)
    assert name in caught.value.message
    assert caught.value.remedy


def test_a_folder_is_read_in_name_order_without_hidden_files_and_links_out(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    (folder / "sub").mkdir(parents=True)
    for name in ("b.md", "A.txt", "sub/c.markdown", ".hidden.md"):
        (folder / name).write_text(f"text of {name}", encoding="utf-8")
    (tmp_path / "secret.md").write_text("secret", encoding="utf-8")
    (folder / "link.md").symlink_to(tmp_path / "secret.md")
    (folder / "paper.pdf").write_bytes(b"%PDF")
    read, notices = _read(folder)
    assert [r.text.name for r in read] == ["A.txt", "b.md", "c.markdown"]
    assert "paper.pdf" in notices[0].message
    assert "link.md" in notices[0].message


def test_too_much_text_is_refused_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "big.txt").write_bytes(b"x" * 2000)
    with pytest.raises(SourceUnreadable, match=r"big\.txt"):
        _read(tmp_path / "big.txt", limit=1000)


def test_the_same_note_twice_counts_once(tmp_path: Path) -> None:
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text("the same", encoding="utf-8")
    read, notices = _read(tmp_path)
    assert len(read) == 1
    assert notices[0].code == "source_repeated"


def test_a_missing_note_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="does not exist"):
        _read(tmp_path / "absent.md")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(raw=st.binary(max_size=400))
def test_any_bytes_are_read_clean_or_refused(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes(raw)
    try:
        read, _ = _read(path)
    except SourceUnreadable:
        return
    for one in read:
        one.text.text.encode()
        assert one.text.id == source_id(one.text.text)
