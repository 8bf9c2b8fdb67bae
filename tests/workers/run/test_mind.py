"""An engine as the mind: threads become a batch, answers come when they are whole, errors reach who asked."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from agents.prompting.mind import Ask, Mind, Misread, Shown
from interleaf.errors import ModelBusy, ModelError, OutOfMemory, PictureMissing, PromptTooLong, RunCanceled
from model.inference.engine import Request
from model.prompts.prompt import PicturePlace
from tests.fake_engine import FakeEngine
from workers.run.mind import EngineMind


def no_pictures(picture_id: str) -> Path:
    raise PictureMissing(picture_id, "is nowhere.")


class Counted(FakeEngine):
    """Remembers how many requests came at a time."""

    def __init__(self, *args: object, **more: object) -> None:
        super().__init__(*args, **more)  # type: ignore[arg-type]
        self.batches: list[int] = []

    def generate(self, requests, canceled=lambda: False):  # type: ignore[no-untyped-def]
        self.batches.append(len(requests))
        return super().generate(requests, canceled)


def mind_on(engine: FakeEngine, **more: object) -> EngineMind:
    return EngineMind(engine, no_pictures, **more)  # type: ignore[arg-type]


def words_of(request: Request) -> str:
    return "".join(part for part in request.turns[-1].parts if isinstance(part, str))


def test_it_is_a_mind() -> None:
    assert isinstance(mind_on(FakeEngine()), Mind)


def test_threads_that_ask_together_are_one_batch_and_each_gets_its_own_answer() -> None:
    engine = Counted(lambda request: f"answer to {words_of(request)}")
    mind = mind_on(engine, linger_s=0.2)
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda k: mind.answer([Ask((f"question {k}",), 60)])[0].text, range(8)))
    assert replies == [f"answer to question {k}" for k in range(8)]
    assert engine.batches == [8]


def test_a_short_answer_does_not_wait_for_a_long_one() -> None:
    release = threading.Event()
    done: list[str] = []

    def script(request: Request) -> str:
        return "short" if words_of(request) == "a" else "long " * 40

    engine = FakeEngine(script)
    held = engine.generate

    def slow(requests, canceled=lambda: False):  # type: ignore[no-untyped-def]
        for piece in held(requests, canceled):
            if piece.finish is not None and piece.request == 1:
                release.wait(5)
            yield piece

    engine.generate = slow  # type: ignore[method-assign]
    mind = mind_on(engine, linger_s=0.2)

    def ask(words: str) -> None:
        mind.answer([Ask((words,), 300)])
        done.append(words)

    first, second = threading.Thread(target=ask, args=("a",)), threading.Thread(target=ask, args=("b",))
    first.start()
    time.sleep(0.05)
    second.start()
    first.join(5)
    assert done == ["a"]
    release.set()
    second.join(5)
    assert done == ["a", "b"]


def test_more_than_a_batch_is_answered_batch_by_batch() -> None:
    engine = Counted(lambda request: "yes")
    replies = mind_on(engine, batch=3).answer([Ask((f"{k}",), 8) for k in range(8)])
    assert [reply.text for reply in replies] == ["yes"] * 8
    assert engine.batches == [3, 3, 2]


def test_too_little_memory_halves_the_batch_until_it_fits() -> None:
    engine = Counted(lambda request: words_of(request), most_at_once=2)
    replies = mind_on(engine).answer([Ask((f"say {k}",), 20) for k in range(7)])
    assert [reply.text for reply in replies] == [f"say {k}" for k in range(7)]
    assert max(engine.batches) == 7 and sorted(set(engine.batches))[0] <= 2


def test_one_that_is_alone_too_much_fails_and_the_others_are_answered() -> None:
    mind = mind_on(FakeEngine(lambda request: "yes", context_length=400), linger_s=0.2)
    with ThreadPoolExecutor(2) as pool:
        good = pool.submit(mind.answer, [Ask(("fits",), 8)])
        bad = pool.submit(mind.answer, [Ask(("x" * 1_000,), 8)])
        assert good.result()[0].text == "yes"
        with pytest.raises(PromptTooLong):
            bad.result()
    with pytest.raises(OutOfMemory):
        mind_on(FakeEngine(most_at_once=0)).answer([Ask(("one",), 4)])


def test_what_breaks_in_the_model_reaches_everyone_who_waits_and_the_next_question_is_heard() -> None:
    engine = FakeEngine(lambda request: "fine", broken=ModelError("layer 3", "is no number."))
    mind = mind_on(engine)
    with pytest.raises(ModelError, match="layer 3"):
        mind.answer([Ask(("one",), 4), Ask(("two",), 4)])
    engine._broken = None
    assert mind.answer([Ask(("again",), 8)])[0].text == "fine"


def test_canceled_stops_before_the_next_token_and_says_so() -> None:
    stop = threading.Event()
    engine = FakeEngine(lambda request: "word " * 100)
    made = []
    held = engine.generate

    def counted(requests, canceled=lambda: False):  # type: ignore[no-untyped-def]
        for piece in held(requests, canceled):
            made.append(piece)
            if len(made) == 3:
                stop.set()
            yield piece

    engine.generate = counted  # type: ignore[method-assign]
    with pytest.raises(RunCanceled):
        mind_on(engine, canceled=stop.is_set).answer([Ask(("go on",), 400)])
    assert len(made) <= 4
    with pytest.raises(RunCanceled):
        mind_on(engine, canceled=stop.is_set).choose(Ask(("which?",), 1), ("A", "B"))


def test_a_closed_mind_refuses() -> None:
    mind = mind_on(FakeEngine())
    mind.close()
    with pytest.raises(ModelBusy):
        mind.answer([Ask(("hello",), 4)])


def test_a_question_becomes_the_request_it_means(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "red.png")
    engine = FakeEngine(lambda request: "yes")
    mind = EngineMind(
        engine, lambda picture_id: tmp_path / f"{picture_id}.png", tasks=("write", "base"), glance="glance"
    )
    seen = Ask(("Look at ", Shown("red"), " <ImageHere>"), 9, system="be good", answer_start="I ", stops=("\n",))
    mind.answer([seen])
    request = engine.asked[-1]
    assert request.pictures == (tmp_path / "red.png",) and request.partition == "glance" and request.task == "base"
    assert [type(part) for part in request.turns[0].parts] == [str, PicturePlace, str]
    assert (request.system, request.answer_start, request.stops) == ("be good", "I ", ("\n",))
    assert not request.sampling.do_sample and request.sampling.max_new_tokens == 9

    again = Ask(("Plan",), 9, work="write", freely=True, seed=7, misread=(Misread("bla", "no heading"),))
    mind.answer([again])
    request = engine.asked[-1]
    assert [turn.role for turn in request.turns] == ["user", "assistant", "user"] and request.task == "write"
    assert "no heading" in words_of(request) and request.sampling.do_sample and request.sampling.seed == 7
    assert request.partition is None


def test_a_cut_answer_says_so() -> None:
    (reply,) = mind_on(FakeEngine(lambda request: "a long answer")).answer([Ask(("tell",), 5)])
    assert reply.is_cut and reply.text == "a lon"
