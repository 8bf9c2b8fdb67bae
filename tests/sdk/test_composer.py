"""Composing in this process: what comes out, that it can be repeated to the byte, resumed, and asked for approval."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from interleaf import Composer
from interleaf.errors import (
    InvalidBrief,
    LicenceUnmet,
    NeedsInput,
    PictureUnreadable,
    RunCanceled,
    RunUnknown,
    Unsupported,
)
from interleaf.schema import Article
from interleaf.text import fold_space
from tests.sdk.material import NOTES, write_material


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_material(tmp_path_factory.mktemp("material"))


def _brief(material: Path, **fields: Any) -> dict[str, Any]:
    return {
        "instruction": "How a canal lock works and where its water comes from",
        "sources": [str(material / "notes")],
        "pictures": [str(material / "pictures")],
        "length_words": 250,
        **fields,
    }


@pytest.fixture(scope="module")
def composed(material: Path, tmp_path_factory: pytest.TempPathFactory):
    return Composer(home=tmp_path_factory.mktemp("home")).compose(_brief(material))


def test_every_sentence_stands_in_the_notes(composed) -> None:
    folded = fold_space(" ".join(fold_space(text) for text in NOTES.values()))
    assert composed.report.sentences_with_span == composed.report.sentences > 5
    for block in composed.document.text_blocks:
        for support in block.provenance.supports:
            if block.type == "paragraph":
                assert fold_space(block.text[support.start : support.end]) in folded


def test_pictures_stand_beside_what_they_show_and_the_stranger_is_left_out(composed) -> None:
    captions = {figure.caption for figure in composed.figures}
    assert len(captions) >= 2
    assert not any("espresso" in caption for caption in captions)
    for figure in composed.figures:
        assert figure.alt and figure.reason and figure.credit and figure.licence == "CC0-1.0"
        assert 0 < figure.score <= 1


def test_the_length_is_obeyed(composed) -> None:
    assert composed.report.length_score >= 90


def test_the_same_brief_gives_the_same_bytes(composed, material: Path, tmp_path: Path) -> None:
    again = Composer(home=tmp_path / "other").compose(_brief(material))
    assert again.document_json() == composed.document_json()
    first = composed.save(tmp_path / "a.html").read_bytes()
    assert again.save(tmp_path / "b.html").read_bytes() == first
    assert composed.save(tmp_path / "a.zip").read_bytes() == again.save(tmp_path / "b.zip").read_bytes()


def test_what_is_saved_can_be_read_back(composed, tmp_path: Path) -> None:
    path = composed.save(tmp_path / "deep" / "article.json")
    assert Article.model_validate_json(path.read_bytes()) == composed.document
    page = composed.save(tmp_path / "page.html").read_text(encoding="utf-8")
    assert composed.title in page
    with zipfile.ZipFile(composed.save(tmp_path / "bundle.zip")) as bundle:
        assert any(name.endswith(".md") for name in bundle.namelist())
    with pytest.raises(InvalidBrief, match=r"\.html"):
        composed.save(tmp_path / "page.docx")


def test_events_tell_the_stages_with_rising_ids(material: Path, tmp_path: Path) -> None:
    composer = Composer(home=tmp_path)
    events = list(composer.stream(_brief(material, length_words=150)))
    assert [event.id for event in events] == list(range(len(events)))
    assert events[0].kind == "run_started"
    assert events[-1].kind == "finished"
    stages = list(dict.fromkeys(e.stage for e in events if e.kind == "stage_finished"))
    assert stages == ["read", "plan", "draft", "review", "spot", "caption", "retrieve", "choose", "assemble"]
    assert composer.article is not None
    log = (tmp_path / "runs" / events[0].run_id / "events.jsonl").read_text(encoding="utf-8")
    assert len(log.splitlines()) == len(events)


def test_a_finished_run_is_given_again_without_work(composed, material: Path, tmp_path: Path) -> None:
    composer = Composer(home=tmp_path)
    first = composer.compose(_brief(material), run_id="my-run")
    again = composer.resume("my-run")
    assert again.document == first.document
    assert composer.compose(_brief(material), run_id="my-run").document == first.document
    with pytest.raises(InvalidBrief, match="another brief"):
        composer.compose(_brief(material, length_words=100), run_id="my-run")


def test_an_outline_is_approved_edited_or_refused_later(material: Path, tmp_path: Path) -> None:
    brief = _brief(material, approvals={"outline": True})
    with pytest.raises(NeedsInput) as caught:
        Composer(home=tmp_path).compose(brief)
    run_id, question = caught.value.run_id, caught.value.question
    with pytest.raises(NeedsInput):
        Composer(home=tmp_path).resume(run_id)  # still waits
    with pytest.raises(InvalidBrief):
        Composer(home=tmp_path).resume(run_id, "perhaps")
    outline = question["outline"]
    outline["sections"] = outline["sections"][:1]
    outline["title"] = "Only the beginning"
    piece = Composer(home=tmp_path).resume(run_id, {"decision": "edit", "outline": outline})
    assert piece.title == "Only the beginning"
    with pytest.raises(InvalidBrief, match="not waiting"):
        Composer(home=tmp_path).resume(run_id, "approve")


def test_a_canceled_run_stays_canceled(material: Path, tmp_path: Path) -> None:
    with pytest.raises(NeedsInput) as caught:
        Composer(home=tmp_path).compose(_brief(material, approvals={"outline": True}))
    for _ in range(2):
        with pytest.raises(RunCanceled):
            Composer(home=tmp_path).resume(caught.value.run_id, "cancel")


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"instruction": "  "}, InvalidBrief, "instruction"),
        ({"sources": []}, InvalidBrief, "sources"),
        ({"sources": ["absent.md"]}, Exception, "absent.md"),
        ({"pictures": ["absent/"]}, InvalidBrief, "absent"),
        ({"writer": "gpt"}, InvalidBrief, "writer"),
        ({"libraries": ["nowhere"]}, InvalidBrief, "nowhere"),
        ({"kind": "webpage"}, Unsupported, "kind"),
        ({"budget": {"seconds": 5}}, Unsupported, "budget"),
        ({"approvals": {"outline": True, "timeout_s": 5}}, Unsupported, "timeout_s"),
        ({"licence_policy": ["MIT"]}, LicenceUnmet, "licence"),
        ({"length_words": 10}, InvalidBrief, "length_words"),
    ],
)
def test_bad_input_names_the_thing_and_leaves_nothing(
    material: Path, tmp_path: Path, fields: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        Composer(home=tmp_path).compose(_brief(material, **fields))
    assert words in str(caught.value)


def test_an_unreadable_picture_that_was_named_is_an_error(material: Path, tmp_path: Path) -> None:
    bad = tmp_path / "broken.jpg"
    bad.write_bytes((material / "pictures" / "paddles.jpg").read_bytes()[:200])
    with pytest.raises(PictureUnreadable, match=r"broken\.jpg"):
        Composer(home=tmp_path / "home").compose(_brief(material, pictures=[str(bad)]))


def test_an_unreadable_picture_in_a_folder_is_told_and_the_rest_goes_on(material: Path, tmp_path: Path) -> None:
    folder = write_material(tmp_path / "m")
    (folder / "pictures" / "page.jpg").write_text("<html><script>alert(1)</script>", encoding="utf-8")
    piece = Composer(home=tmp_path / "home").compose(_brief(folder))
    assert piece.figures
    assert any("page.jpg" in warning.message for warning in piece.report.warnings)


def test_a_picture_that_a_note_shows_joins_with_its_caption(tmp_path: Path) -> None:
    folder = write_material(tmp_path / "m")
    note = folder / "notes" / "locks.md"
    (folder / "pictures" / "mitre-gates.png").rename(folder / "notes" / "gates.png")
    shown = note.read_text(encoding="utf-8").replace(
        "Leonardo da Vinci", '![Gate leaves in a V](gates.png "The gates as Leonardo drew them")\n\nLeonardo da Vinci'
    )
    shown += "\n![secret](../../../../etc/passwd) ![far](https://example.org/x.png) ![gone](absent.png)\n"
    note.write_text(shown, encoding="utf-8")
    piece = Composer(home=tmp_path / "home").compose(_brief(folder, pictures=[], length_words=300))
    (figure,) = piece.figures
    assert figure.caption == "The gates as Leonardo drew them"
    assert figure.alt == "Gate leaves in a V"
    assert figure.caption_origin == "source"


def test_hostile_markup_is_only_text(tmp_path: Path) -> None:
    folder = write_material(tmp_path / "m")
    evil = "<script>alert(1)</script> {{ 7*7 }} {% raw %} ../../etc/passwd \ud800 \x1b[31m"
    note = "# Locks <script>x</script>\n\n" + "A lock lifts boats {{ 7*7 }} with <script>alert(2)</script> water. " * 6
    (folder / "notes" / "evil.md").write_text(note, encoding="utf-8")
    rows = [{"file": name, "caption": f"Paddles let water run {evil}"} for name in ("paddles.jpg",)]
    (folder / "pictures" / "manifest.csv").unlink()
    (folder / "pictures" / "manifest.json").write_text(json.dumps(rows), encoding="utf-8")
    (folder / "pictures" / "espresso.png").rename(folder / "pictures" / "<img src=x onerror=alert(3)>.png")
    piece = Composer(home=tmp_path / "home").compose(_brief(folder, title=f"Locks {evil}"))
    page = piece.save(tmp_path / "p.html").read_text(encoding="utf-8")
    assert "<script" not in page.lower().replace("&lt;script", "")
    assert "onerror=alert(3)>" not in page
    assert "49" not in piece.title


def test_wishes_that_the_writer_cannot_follow_are_told(material: Path, tmp_path: Path) -> None:
    piece = Composer(home=tmp_path).compose(_brief(material, style="breezy", pictures_wanted=0))
    assert [w.code for w in piece.report.warnings] == ["style_not_followed"]


def test_an_unknown_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunUnknown):
        Composer(home=tmp_path).resume("r-nothing")
