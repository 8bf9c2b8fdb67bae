"""The words refuse what they do not know, survive JSON, and name what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import interleaf.schema as words
from interleaf.brief_file import brief_from, read_brief
from interleaf.errors import InvalidBrief
from interleaf.schema import Brief, LicencePolicy, Outline, Source, SourceSpan, canonical_licence


def test_every_word_publishes_a_json_schema_and_refuses_unknown_fields() -> None:
    for name in ("Article", "Brief", "Event", "Outline", "Picture", "Report", "Run"):
        kind = getattr(words, name)
        schema = kind.model_json_schema()
        assert schema["additionalProperties"] is False, name


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({}, "instruction"),
        ({"instruction": " \n"}, "instruction"),
        ({"instruction": "x", "colour": 1}, "colour"),
        ({"instruction": "x", "length_words": 3}, "length_words"),
        ({"instruction": "x", "sources": [{"path": "a", "text": "b"}]}, "sources[0]"),
        ({"instruction": "x", "pictures_wanted": -1}, "pictures_wanted"),
        ({"instruction": "x", "language": "not a tag"}, "language"),
        ({"instruction": "x" * 20_001}, "instruction"),
        ({"instruction": "x", "style": "x" * 20_001}, "style"),
        ({"instruction": "x", "guidelines": "x" * 20_001}, "guidelines"),
        ({"instruction": "x", "title": "x" * 4_001}, "title"),
        ({"instruction": "x", "length_words": 50_001}, "length_words"),
        ({"instruction": "x", "pictures_wanted": 501}, "pictures_wanted"),
        ({"instruction": "x", "pictures": ["a"] * 100_001}, "pictures"),
        ({"instruction": "x", "sources": ["a"] * 10_001}, "sources"),
        ({"instruction": "x", "libraries": ["a"] * 101}, "libraries"),
        ({"instruction": "x", "formats": ["html"] * 17}, "formats"),
        ({"instruction": "x", "formats": ["../html"]}, "formats"),
        ({"instruction": "x", "theme": "../paper"}, "theme"),
        ({"instruction": "x", "outline": {"sections": [{}] * 201}}, "outline.sections"),
        ({"instruction": "x", "outline": {"sections": [{"points": ["a"] * 101}]}}, "outline.sections[0].points"),
        ({"instruction": "x", "outline": {"sections": [{"points": ["a" * 4_001]}]}}, "outline.sections[0].points[0]"),
        ({"instruction": "x", "budget": {"seconds": 0}}, "budget.seconds"),
        ({"instruction": "x", "budget": {"tokens": -1}}, "budget.tokens"),
    ],
)
def test_a_wrong_field_is_named_with_its_remedy(fields: dict[str, object], where: str) -> None:
    with pytest.raises(InvalidBrief) as caught:
        brief_from(fields)
    assert caught.value.thing.startswith(where)
    assert caught.value.remedy


def test_contradictory_lengths_are_refused() -> None:
    outline = {"title": "T", "sections": [{"heading": "A", "length_words": 900}, {"heading": "B"}]}
    with pytest.raises(InvalidBrief, match="add up to 900"):
        brief_from({"instruction": "x", "length_words": 300, "outline": outline})
    assert brief_from({"instruction": "x", "length_words": 1000, "outline": outline}).outline is not None


@given(st.text(st.characters(), min_size=1, max_size=200))
def test_any_instruction_is_kept_clean_or_refused(text: str) -> None:
    try:
        brief = brief_from({"instruction": text})
    except InvalidBrief:
        return
    assert brief.instruction.strip()
    again = Brief.model_validate_json(brief.model_dump_json())
    assert again == brief


def test_a_source_is_a_path_or_a_text() -> None:
    with pytest.raises(ValidationError):
        Source()
    assert Source(text="a\x00b").text == "a b"


def test_a_span_does_not_run_backwards() -> None:
    with pytest.raises(ValidationError):
        SourceSpan(source_id="s-1", start=4, end=3)


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("cc by 4.0", "CC-BY-4.0"),
        ("CC-BY-SA-3.0", "CC-BY-SA-3.0"),
        ("Creative Commons Attribution-NonCommercial-ShareAlike 4.0", "CC-BY-NC-SA-4.0"),
        ("https://creativecommons.org/licenses/by-nd/2.0/", "CC-BY-ND-2.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("CC0", "CC0-1.0"),
        ("Public Domain", "PDM-1.0"),
        ("© 2020 Somebody", "© 2020 Somebody"),
        ("  ", None),
        (None, None),
    ],
)
def test_licences_have_one_spelling(written: str | None, canonical: str | None) -> None:
    assert canonical_licence(written) == canonical
    assert canonical_licence(canonical) == canonical


@pytest.mark.parametrize(
    ("policy", "licence", "permitted"),
    [
        ("any", None, True),
        ("any", "© me", True),
        ("known", None, False),
        ("open", "CC BY-SA 4.0", True),
        ("open", "CC BY-NC 4.0", False),
        ("open", "CC BY-NC-SA 4.0", False),
        ("open", "CC BY-ND 4.0", False),
        ("commercial", "CC BY-ND 4.0", True),
        ("commercial", "CC BY-NC-ND 4.0", False),
        (["CC0-1.0", "CC BY 4.0"], "cc-by-4.0", True),
        (["CC0-1.0"], "CC-BY-4.0", False),
    ],
)
def test_a_policy_permits_by_meaning_not_by_spelling(policy: object, licence: str | None, permitted: bool) -> None:
    assert LicencePolicy.model_validate(policy).permits(licence) is permitted


def test_a_brief_file_that_is_wrong_is_told_by_line(tmp_path: Path) -> None:
    path = tmp_path / "brief.yaml"
    path.write_text("instruction: [unclosed\nlength_words: 3\n", encoding="utf-8")
    with pytest.raises(InvalidBrief, match="line"):
        read_brief(path)
    path.write_text("- a list\n", encoding="utf-8")
    with pytest.raises(InvalidBrief, match="no fields"):
        read_brief(path)
    with pytest.raises(InvalidBrief, match="cannot be read"):
        read_brief(tmp_path / "absent.yaml")


def test_yaml_tags_build_no_objects(tmp_path: Path) -> None:
    path = tmp_path / "brief.yaml"
    path.write_text("instruction: !!python/object/apply:os.system ['true']\n", encoding="utf-8")
    with pytest.raises(InvalidBrief):
        read_brief(path)


def test_an_outline_can_be_given_as_data() -> None:
    outline = Outline.model_validate({"title": "T", "sections": [{"heading": "A", "points": ["say x"]}]})
    assert outline.sections[0].level == 2
