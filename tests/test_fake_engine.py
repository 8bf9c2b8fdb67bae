"""The fake engine keeps the real contract, says what a test wrote for it, and fails as a test wants."""

from __future__ import annotations

import pytest

from interleaf.errors import ModelError, OutOfMemory
from model.inference.engine import Engine, Grammar, Request, Sampling, gathered
from tests.contracts.engine import EngineContract, answer, photo
from tests.fake_engine import FakeEngine


class TestFakeEngine(EngineContract):
    """The whole suite, on the fake."""

    @pytest.fixture
    def engine(self) -> Engine:
        return FakeEngine()


def test_it_says_what_was_written_for_it() -> None:
    engine = FakeEngine(lambda request: "Höhe 漢" if request.system == "sing" else None)
    found = answer(engine, Request.ask("Now.", system="sing"))
    assert (found.text, found.finish, found.tokens) == ("Höhe 漢", "stop", len("Höhe 漢".encode()) + 1)
    assert answer(engine, Request.ask("Now.")).text != "Höhe 漢"
    assert [request.system for request in engine.asked] == ["sing", ""]


def test_what_was_written_decides_a_choice_and_bends_to_a_grammar() -> None:
    engine = FakeEngine(lambda request: "C")
    scores = engine.choose(Request.ask("Which?"), ["A", "B", "C"])
    assert scores[2] > max(scores[:2]) + 50
    grammar = Grammar(json_schema={"enum": ["A", "B"]})
    assert answer(engine, Request.ask("Which?", grammar=grammar, sampling=Sampling(max_new_tokens=9))).text in (
        '"A"',
        '"B"',
    )


def test_every_part_of_a_request_changes_the_answer() -> None:
    engine = FakeEngine()
    asked = [
        Request.ask("What?"),
        Request.ask("When?"),
        Request.ask("What?", system="Be short."),
        Request.ask("What?", [photo()]),
        Request.ask("What?", [photo(70)]),
        Request.ask("What?", answer_start="It"),
    ]
    texts = [found.text for found in gathered(engine.generate(asked), len(asked))]
    assert len(set(texts)) == len(asked)


def test_it_fails_as_wanted() -> None:
    two = [Request.ask("What?"), Request.ask("When?")]
    engine = FakeEngine(most_at_once=1)
    with pytest.raises(OutOfMemory) as caught:
        gathered(engine.generate(two), 2)
    assert caught.value.retryable
    assert gathered(engine.generate(two[:1]), 1)[0].text
    broken = FakeEngine(broken=ModelError("fake", "fell over.", "Try again."))
    with pytest.raises(ModelError, match="fell over"):
        gathered(broken.generate(two), 2)
    with pytest.raises(ModelError, match="fell over"):
        broken.choose(two[0], ["A", "B"])
    engine.close()
    assert engine.closed
