"""Every error can be rebuilt from its record, has one root, and a message that is safe to show."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import interleaf.errors as errors
from interleaf.errors import InterleafError, error_from_record, error_to_record

KINDS = [getattr(errors, name) for name in errors.__all__ if isinstance(getattr(errors, name), type)]


def _example(kind: type[InterleafError]) -> InterleafError:
    if kind is errors.NeedsInput:
        return errors.NeedsInput("r-1", {"asks": "outline"})
    if kind is errors.WriterMisspoke:
        return errors.WriterMisspoke("outline", "was empty", "Try again.", "raw words")
    return kind("thing", "problem", "remedy")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_survives_a_queue(kind: type[InterleafError]) -> None:
    error = _example(kind)
    back = error_from_record(json.loads(json.dumps(error_to_record(error))))
    assert type(back) is kind
    assert back.args == error.args
    assert back.message == error.message


def test_there_is_one_root_and_every_code_is_its_own() -> None:
    assert all(issubclass(kind, InterleafError) for kind in KINDS)
    codes = [kind.code for kind in KINDS]
    assert len(set(codes)) == len(codes)


@given(st.text(max_size=2000))
def test_a_hostile_thing_is_shown_short_and_printable(thing: str) -> None:
    shown = errors.shown(thing)
    assert len(shown) <= errors.MAX_SHOWN_CHARS
    assert shown.isprintable()


def test_an_unknown_record_comes_back_as_the_root() -> None:
    assert type(error_from_record({"type": "os.system", "args": ["x"]})) is InterleafError
