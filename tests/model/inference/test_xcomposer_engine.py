"""The native engine answers as the network does, alone and in batches, and computes what prompts share only once."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from interleaf.errors import ModelError, OutOfMemory, PromptInvalid, PromptTooLong, Unsupported
from model.inference.beginnings import Tokens
from model.inference.engine import Engine, Grammar, Request, Sampling, gathered
from model.inference.engines import open_engine
from model.inference.xcomposer_engine import XComposerEngine
from model.inference.xcomposer_steps import (
    MIN_COMMON,
    EncodedPicture,
    PreparedPrompt,
    XComposerSteps,
    shared_beginnings,
)
from model.prompts.prompt import PICTURE, Turn, chat
from tests.contracts.engine import EngineContract
from tests.model.test_whole import shelved

SHORT = Sampling(max_new_tokens=7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shelved(tmp_path_factory.mktemp("engine"), "2d5-7b")


@pytest.fixture(scope="module")
def engine(folder: Path) -> XComposerEngine:
    opened = open_engine(folder)
    assert isinstance(opened, XComposerEngine)
    return opened


class TestNativeEngine(EngineContract):
    """The whole contract, on the native network with random weights."""

    @pytest.fixture
    def engine(self, folder: Path) -> Engine:
        return open_engine(folder)


def photo(shade: int, width: int = 200) -> Image.Image:
    return Image.linear_gradient("L").resize((width, 120)).point(lambda v: (v + shade) % 256).convert("RGB")


def answer(engine: XComposerEngine, request: Request) -> str:
    return gathered(engine.generate([request]), 1)[0].text


def mixture() -> list[Request]:
    one, other = photo(0), photo(90)
    return [
        Request.ask("What is it?", sampling=SHORT),
        Request.ask("What is it?", [one], sampling=SHORT, task="write"),
        Request.ask("Which of the two is darker, and why do you think so?", [one, other], sampling=SHORT, task="web"),
        Request.ask("Go on.", sampling=Sampling(max_new_tokens=3), answer_start="Once upon", system="Be short."),
        Request(
            turns=(Turn("user", ("See ", PICTURE)), Turn("assistant", ("Yes.",)), Turn("user", ("And ", PICTURE, "?"))),
            pictures=(other, one),
            sampling=Sampling(max_new_tokens=9, do_sample=True, temperature=3.0, seed=4),
        ),
    ]


def test_greedy_text_is_that_of_generate(engine: XComposerEngine) -> None:
    for request in mixture()[:4]:
        text = answer(engine, request)
        model, processor = engine._model, engine._processor
        prompt = chat(request.turns, system=request.system, answer_start=request.answer_start)
        inputs = processor(images=list(request.pictures), text=prompt.with_pictures(len(request.pictures)))
        new = request.sampling.max_new_tokens
        made: Any = model.generate(
            **inputs, max_new_tokens=new, do_sample=False, task=request.task, eos_token_id=sorted(engine._ends)
        )
        ids = [i for i in made[0, inputs["input_ids"].shape[1] :].tolist() if i not in engine._ends]
        assert text == engine._decode(ids)


def test_a_batch_of_everything_is_each_alone(engine: XComposerEngine) -> None:
    requests = mixture()
    together = gathered(engine.generate(requests), len(requests))
    for request, found in zip(requests, together, strict=True):
        (alone,) = gathered(engine.generate([request]), 1)
        assert found == alone
        assert found.tokens <= request.sampling.max_new_tokens


def test_what_prompts_share_is_computed_once_and_changes_nothing(
    engine: XComposerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = "The sea rises and falls twice a day, and the moon is the reason for most of it. " * 4
    requests = [
        Request.ask(f"{notes}{PART}", [photo(5)], sampling=SHORT, task="write")
        for PART in ("Write the first section.", "Write the second.", "Now the end of it all, please.")
    ]
    computed: list[tuple[int, int]] = []
    true_forward = XComposerSteps._forward

    def watched(self: XComposerSteps, ids: Any, *rest: Any) -> Any:
        computed.append((len(ids), len(ids[0])))
        return true_forward(self, ids, *rest)

    monkeypatch.setattr(XComposerSteps, "_forward", watched)
    engine.beginnings.clear()
    shared = gathered(engine.generate(requests), 3)
    (rows, common), (after, left) = computed[:2]
    assert (rows, after) == (1, 3) and common > 841 and left < 40, "the notes and the picture once, the rest for each"
    monkeypatch.setattr("model.inference.xcomposer_steps.MIN_COMMON", 10**9)
    computed.clear()
    assert gathered(engine.generate(requests), 3) == shared
    assert computed[0][0] == 3 and common > MIN_COMMON


def test_an_option_has_the_probability_of_being_said(engine: XComposerEngine) -> None:
    request = Request.ask("Which picture fits?", [photo(0), photo(60)], answer_start="最合适的图是", task="write")
    options = ["A", "B", "C", "D"]
    scores = engine.choose(request, options)
    model, processor = engine._model, engine._processor
    prompt = chat(request.turns, answer_start=request.answer_start).with_pictures(2)
    with torch.no_grad():
        logits = model(**processor(images=list(request.pictures), text=prompt), task="write", logits_to_keep=1).logits
    said = logits[0, -1].log_softmax(-1)
    for option, score in zip(options, scores, strict=True):
        ids = processor.tokenizer.encode_untrusted(option)
        assert len(ids) == 1 and score == pytest.approx(float(said[ids[0]]), abs=1e-4)


def test_longer_options_are_scored_whole(engine: XComposerEngine) -> None:
    request, options = Request.ask("Where is it?"), ["in the harbour", "on the shore, far out", "x"]
    scores = engine.choose(request, options)
    for option, score in zip(options, scores, strict=True):
        base = engine._ids(request, engine._prompt(request))
        whole = engine._ids(request, chat(request.turns, answer_start=option))
        assert whole[: len(base)] == base
        with torch.no_grad():
            after = engine._model(torch.tensor([whole])).logits[0].log_softmax(-1)
        true = sum(float(after[i - 1, whole[i]]) for i in range(len(base), len(whole)))
        assert score == pytest.approx(true, abs=1e-3) and math.isfinite(score)
    assert engine.choose(request, options[::-1]) == pytest.approx(scores[::-1], abs=1e-4)


def test_pictures_are_encoded_once_across_requests(folder: Path) -> None:
    fresh = open_engine(folder)
    assert isinstance(fresh, XComposerEngine)
    for words in ("What?", "Why?", "When?"):
        answer(fresh, Request.ask(words, [photo(33), photo(44)], sampling=SHORT))
    assert (fresh.features.encoded, fresh.features.reused) == (2, 4)


def test_adapters_come_from_the_folder_when_a_request_needs_them(folder: Path) -> None:
    fresh = open_engine(folder)
    assert isinstance(fresh, XComposerEngine) and fresh._model.adapters == ()
    answer(fresh, Request.ask("A page.", task="web", sampling=SHORT))
    assert fresh._model.adapters == ("lora_web",)


def test_what_does_not_fit_is_refused_before_anything_runs(engine: XComposerEngine) -> None:
    with pytest.raises(PromptTooLong, match="are kept for the answer"):
        engine.generate([Request.ask("Hi", sampling=Sampling(max_new_tokens=10**6))])
    with pytest.raises(PromptInvalid, match="0"):
        engine.generate([])
    with pytest.raises(Unsupported, match="'poem' is not known"):
        engine.generate([Request.ask("Hi", task="poem")])  # type: ignore[arg-type]
    with pytest.raises(PromptInvalid, match="grammar"):
        engine.generate([Request.ask("Hi", grammar=Grammar(ebnf="root ::= ((("))])
    for options in (["A"], ["A", "A"], ["A", ""]):
        with pytest.raises(PromptInvalid, match="options"):
            engine.choose(Request.ask("Hi"), options)


def test_failures_of_the_network_are_errors_of_ours(engine: XComposerEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(error: Exception) -> Any:
        def forward(*_: Any, **__: Any) -> Any:
            raise error

        return forward

    request = Request.ask("Hi", sampling=SHORT)
    monkeypatch.setattr(XComposerSteps, "prefill", failing(torch.OutOfMemoryError("no room")))
    with pytest.raises(OutOfMemory, match="fewer at a time") as caught:
        answer(engine, request)
    assert caught.value.retryable
    monkeypatch.setattr(XComposerSteps, "prefill", failing(RuntimeError("shape '[3]' is invalid")))
    with pytest.raises(ModelError, match="shape"):
        answer(engine, request)
    monkeypatch.undo()
    assert isinstance(answer(engine, request), str), "the engine works again"


def test_canceled_means_no_further_token(engine: XComposerEngine) -> None:
    asked = 0

    def canceled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    request = Request.ask("Go on and on.", sampling=Sampling(max_new_tokens=50, do_sample=True, temperature=5.0))
    pieces = list(engine.generate([request, request], canceled))
    assert [p.finish for p in pieces if p.finish] == ["canceled", "canceled"]
    assert sum(p.tokens for p in pieces) == 2 * 3 and asked == 4


def test_the_same_seed_says_the_same_and_global_random_state_is_left_alone(engine: XComposerEngine) -> None:
    def said(seed: int) -> str:
        return answer(engine, Request.ask("Go on.", sampling=Sampling(9, do_sample=True, temperature=4.0, seed=seed)))

    before = torch.random.get_rng_state()
    first = said(1)
    torch.manual_seed(99)
    assert said(1) == first and said(2) != first
    torch.random.set_rng_state(before)
    said(3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_stop_ends_the_answer_and_is_left_out(engine: XComposerEngine) -> None:
    request = Request.ask("Go on.", sampling=Sampling(20, do_sample=True, temperature=4.0, seed=5))
    whole = answer(engine, request)
    stop = whole[len(whole) // 2 : len(whole) // 2 + 2]
    (found,) = gathered(engine.generate([Request(request.turns, sampling=request.sampling, stops=(stop,))]), 1)
    assert found.text == whole[: whole.find(stop)] and found.finish == "stop"


def test_a_turn_token_ends_the_answer_and_is_not_said(engine: XComposerEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    end = engine._processor.tokenizer.turn_end_id
    true_step = XComposerSteps.step

    def ending(self: XComposerSteps, tokens: Any) -> torch.Tensor:
        logits = true_step(self, tokens)
        logits[:, end] = 1e9
        return logits

    monkeypatch.setattr(XComposerSteps, "step", ending)
    (found,) = gathered(engine.generate([Request.ask("Hi", sampling=Sampling(50))]), 1)
    assert found.finish == "stop" and found.tokens == 2 and "UNUSED" not in found.text


@pytest.mark.parametrize("seed", range(4))
def test_an_answer_under_a_schema_parses_beside_free_ones(engine: XComposerEngine, seed: int) -> None:
    schema = {
        "type": "object",
        "properties": {"slot": {"enum": ["A", "B"]}, "count": {"type": "integer", "minimum": 0, "maximum": 99}},
        "required": ["slot", "count"],
        "additionalProperties": False,
    }
    wild = Sampling(120, do_sample=True, temperature=20.0, seed=seed)
    free = Request.ask("Say anything.", sampling=SHORT)
    formed = Request.ask("Choose.", sampling=wild, grammar=Grammar(json_schema=schema))
    lettered = Request.ask("Choose.", sampling=SHORT, grammar=Grammar(ebnf='root ::= "A" | "B"'))
    answers = gathered(engine.generate([formed, free, lettered]), 3)
    found = json.loads(answers[0].text)
    assert found.keys() == {"slot", "count"} and found["slot"] in "AB" and 0 <= found["count"] <= 99
    assert answers[0].finish == "stop" and answers[2].text in ("A", "B")
    assert answers[1].text == answer(engine, free)


def test_other_pictures_are_no_common_beginning(engine: XComposerEngine) -> None:
    """Placeholders of two pictures of one size are alike; what they stand for is not."""
    config = engine._model.config
    ids = (1, 3, 4, *[config.image_token_id] * 40, *range(5, 50))

    def prompt(key: str, last: int) -> Tokens:
        picture = EncodedPicture(key, torch.zeros(40, 64))
        return PreparedPrompt((*ids, last), (picture,), "base", 120).tokens(config)

    assert shared_beginnings([prompt("one", 60), prompt("one", 61)])[0][0] == len(ids)
    assert shared_beginnings([prompt("one", 60), prompt("other", 61)])[0][0] == 3
