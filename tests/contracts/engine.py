"""The contract of `model.inference.engine.Engine`: one suite, run on every engine and on the fake.

A test class inherits `EngineContract` and gives an `engine` fixture.
"""

from __future__ import annotations

import json
import math
import random
import re
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from interleaf.errors import PictureUnreadable, PromptInvalid, PromptTooLong, Unsupported
from model.inference.engine import Answer, Engine, Grammar, Request, Sampling, gathered
from model.prompts.prompt import PICTURE, Turn

SHORT = Sampling(max_new_tokens=8)
DRAWN = Sampling(max_new_tokens=12, do_sample=True, temperature=1.5, seed=5)
SCHEMA = {
    "type": "object",
    "properties": {"fits": {"type": "boolean"}, "choice": {"enum": ["A", "B", "C", "D"]}},
    "required": ["fits", "choice"],
    "additionalProperties": False,
}


def photo(shade: int = 0, width: int = 90) -> Image.Image:
    return Image.linear_gradient("L").resize((width, 60)).point(lambda v: (v + shade) % 256).convert("RGB")


def answer(engine: Engine, request: Request) -> Answer:
    return gathered(engine.generate([request]), 1)[0]


def mixture() -> list[Request]:
    """Requests that differ in everything that a batch might mix up."""
    chat = (Turn("user", ("See ", PICTURE)), Turn("assistant", ("Yes.",)), Turn("user", ("And ", PICTURE, "?")))
    return [
        Request.ask("What is it?", sampling=SHORT),
        Request.ask("What is it?", [photo()], sampling=SHORT),
        Request(turns=chat, pictures=(photo(80), photo()), sampling=Sampling(max_new_tokens=3), system="Be short."),
        Request.ask("Choose.", sampling=Sampling(max_new_tokens=40), grammar=Grammar(json_schema=SCHEMA)),
        Request.ask("Go on with the story of the sea, please.", answer_start="Once upon", sampling=DRAWN),
    ]


class EngineContract:
    """What everything above a model relies on, whichever it is."""

    @pytest.fixture
    def engine(self) -> Engine:
        raise NotImplementedError("give the engine to be held against the contract")

    def test_it_is_an_engine_and_says_which(self, engine: Engine) -> None:
        assert isinstance(engine, Engine)
        assert engine.name and isinstance(engine.fingerprint, str)
        assert engine.context_length > 0

    # Pieces

    def test_pieces_come_in_order_and_the_last_says_why(self, engine: Engine) -> None:
        requests = mixture()
        ended: set[int] = set()
        texts = dict.fromkeys(range(len(requests)), "")
        tokens = dict.fromkeys(texts, 0)
        for piece in engine.generate(requests):
            assert piece.request not in ended, "nothing follows a last piece"
            assert piece.tokens >= 0
            texts[piece.request] += piece.text
            tokens[piece.request] += piece.tokens
            if piece.finish is not None:
                assert piece.finish in ("stop", "length")
                assert (
                    piece.finish == "stop" or tokens[piece.request] == requests[piece.request].sampling.max_new_tokens
                )
                ended.add(piece.request)
        assert ended == set(texts)
        for i, request in enumerate(requests):
            assert tokens[i] <= request.sampling.max_new_tokens
            assert texts[i] == answer(engine, request).text

    def test_an_answer_has_no_more_tokens_than_asked_for(self, engine: Engine) -> None:
        for most in (1, 4):
            found = answer(engine, Request.ask("Tell me of tides.", sampling=Sampling(max_new_tokens=most)))
            assert (found.finish, found.tokens) == ("length", most) or (found.finish == "stop" and found.tokens <= most)

    def test_half_an_iterator_leaves_the_engine_usable(self, engine: Engine) -> None:
        request = Request.ask("What is it?", sampling=SHORT)
        pieces: Any = engine.generate([request])
        next(pieces)
        pieces.close()
        assert answer(engine, request) == answer(engine, request)

    # Answers do not depend on company

    def test_a_batch_is_each_alone(self, engine: Engine) -> None:
        requests = mixture()
        together = gathered(engine.generate(requests), len(requests))
        assert together == [answer(engine, request) for request in requests]
        assert gathered(engine.generate(requests[::-1]), len(requests))[::-1] == together

    def test_a_seed_gives_the_same_text_and_another_another(self, engine: Engine) -> None:
        request = Request.ask("Tell me of tides.", sampling=DRAWN)
        again = [replace(request, sampling=replace(DRAWN, seed=seed)) for seed in (5, 5, 1, 2, 3, 4)]
        texts = [found.text for found in gathered(engine.generate(again), len(again))]
        assert texts[0] == texts[1] == answer(engine, request).text
        assert len(set(texts)) > 1

    def test_no_global_random_state_is_touched(self, engine: Engine) -> None:
        before = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
        requests = [Request.ask("Tell me of tides.", sampling=DRAWN), Request.ask("And now?", sampling=SHORT)]
        gathered(engine.generate(requests), 2)
        engine.choose(requests[1], ["A", "B"])
        assert torch.random.get_rng_state().equal(before[0])
        assert random.getstate() == before[1]
        assert np.random.get_state()[1].tolist() == before[2]  # type: ignore[index]

    def test_several_callers_at_once_get_their_own_answers(self, engine: Engine) -> None:
        requests = mixture()[:3]
        expected = [answer(engine, request) for request in requests]
        found: dict[int, Answer] = {}
        threads = [
            threading.Thread(target=lambda i=i: found.update({i: answer(engine, requests[i])})) for i in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert [found[i] for i in range(3)] == expected

    # Canceling

    def test_canceled_before_the_first_token(self, engine: Engine) -> None:
        requests = mixture()[:2]
        found = gathered(engine.generate(requests, lambda: True), 2)
        assert found == [Answer("", 0, "canceled")] * 2

    def test_canceled_between_tokens(self, engine: Engine) -> None:
        request = Request.ask("Tell me of tides.", sampling=Sampling(max_new_tokens=30))
        whole = answer(engine, request)
        asked = 0

        def after_two() -> bool:
            nonlocal asked
            asked += 1
            return asked > 2

        (found,) = gathered(engine.generate([request], after_two), 1)
        if whole.tokens > 2:
            assert (found.tokens, found.finish) == (2, "canceled")
            assert whole.text.startswith(found.text.rstrip("\ufffd"))
        else:
            assert found == whole

    # Ends and forms

    def test_a_stop_ends_the_answer_and_is_left_out(self, engine: Engine) -> None:
        request = Request.ask("Tell me of tides.", sampling=Sampling(max_new_tokens=24))
        whole = answer(engine, request).text
        stop = whole[len(whole) // 2 :][:2]
        if not stop:
            pytest.skip("this model says nothing to this question")
        found = answer(engine, replace(request, stops=(stop, "\0never\0")))
        assert found.finish == "stop"
        assert found.text == whole[: whole.index(stop)]

    def test_what_the_answer_begins_with_is_not_said_again(self, engine: Engine) -> None:
        request = Request.ask("Choose.", sampling=Sampling(max_new_tokens=4), answer_start="\u2603\u2603 The choice: ")
        assert not answer(engine, request).text.startswith("\u2603\u2603 The choice")
        assert engine.count(request) > engine.count(replace(request, answer_start=""))

    @pytest.mark.parametrize("sampling", [Sampling(max_new_tokens=60), replace(DRAWN, max_new_tokens=60)])
    def test_an_answer_under_a_schema_fits_it(self, engine: Engine, sampling: Sampling) -> None:
        found = answer(engine, Request.ask("Choose.", sampling=sampling, grammar=Grammar(json_schema=SCHEMA)))
        assert found.finish == "stop"
        said = json.loads(found.text)
        assert sorted(said) == ["choice", "fits"] and said["choice"] in "ABCD" and said["fits"] in (True, False)

    def test_an_answer_under_an_ebnf_fits_it(self, engine: Engine) -> None:
        grammar = Grammar(ebnf='root ::= "<Seg " [0-9]{1,2} ">"')
        found = answer(engine, Request.ask("Where?", sampling=replace(DRAWN, max_new_tokens=30), grammar=grammar))
        assert found.finish == "stop" and re.fullmatch("<Seg [0-9]{1,2}>", found.text)

    def test_an_answer_cut_short_says_so(self, engine: Engine) -> None:
        grammar = Grammar(json_schema={"const": "a" * 400})
        found = answer(engine, Request.ask("Say it.", sampling=Sampling(max_new_tokens=2), grammar=grammar))
        assert (found.finish, found.tokens) == ("length", 2)
        assert json.dumps("a" * 400).startswith(found.text)

    @pytest.mark.parametrize("grammar", [Grammar(json_schema={"type": "nonsense"}), Grammar(ebnf="root ::= (")])
    def test_a_grammar_that_cannot_be_kept_is_refused(self, engine: Engine, grammar: Grammar) -> None:
        with pytest.raises(PromptInvalid, match="grammar"):
            gathered(engine.generate([Request.ask("Choose.", sampling=SHORT, grammar=grammar)]), 1)

    # Choosing and counting

    def test_options_have_log_probabilities_in_their_order(self, engine: Engine) -> None:
        request = Request.ask("Which one?", [photo()])
        options = ["A", "B", "C", "an answer of several words"]
        scores = engine.choose(request, options)
        assert len(scores) == 4 and all(math.isfinite(score) and score <= 1e-6 for score in scores)
        assert sum(math.exp(score) for score in scores[:3]) <= 1 + 1e-4
        backwards = engine.choose(request, options[::-1])[::-1]
        assert backwards == pytest.approx(scores, abs=1e-3)

    @pytest.mark.parametrize("options", [[], ["A"], ["A", "A"], ["A", ""]])
    def test_options_that_are_no_choice_are_refused(self, engine: Engine, options: list[str]) -> None:
        with pytest.raises(PromptInvalid, match="options"):
            engine.choose(Request.ask("Which one?"), options)

    def test_counting_grows_with_words_and_pictures(self, engine: Engine) -> None:
        plain = engine.count(Request.ask("What is it?"))
        assert 0 < plain < engine.count(Request.ask("What is it, and where was it made?"))
        one = engine.count(Request.ask("What is it?", [photo()]))
        assert plain < one < engine.count(Request.ask("What is it?", [photo(), photo(9)]))

    # Refusals

    def test_what_does_not_fit_is_refused_with_its_length(self, engine: Engine) -> None:
        request = Request.ask("What is it?", sampling=Sampling(max_new_tokens=engine.context_length))
        with pytest.raises(PromptTooLong, match=r"\d"):
            gathered(engine.generate([request]), 1)

    def test_a_prompt_that_says_nothing_is_refused(self, engine: Engine) -> None:
        with pytest.raises(PromptInvalid):
            gathered(engine.generate([Request.ask("  \n ", sampling=SHORT)]), 1)

    def test_turns_that_do_not_alternate_are_refused(self, engine: Engine) -> None:
        turns = (Turn("user", ("One.",)), Turn("user", ("Two.",)))
        with pytest.raises(PromptInvalid):
            engine.count(Request(turns=turns))

    @pytest.mark.parametrize(("places", "pictures"), [(2, 1), (1, 2), (0, 2), (1, 0)])
    def test_places_without_pictures_are_refused(self, engine: Engine, places: int, pictures: int) -> None:
        request = Request(
            turns=(Turn("user", (*[PICTURE] * places, "What?")),), pictures=(photo(),) * pictures, sampling=SHORT
        )
        with pytest.raises(PromptInvalid):
            gathered(engine.generate([request]), 1)

    def test_a_picture_that_is_none_is_refused(self, engine: Engine) -> None:
        with pytest.raises(PictureUnreadable):
            gathered(engine.generate([Request.ask("What is it?", [b"no picture"], sampling=SHORT)]), 1)

    def test_a_task_that_is_not_known_is_refused(self, engine: Engine) -> None:
        task: Any = "paint"
        with pytest.raises(Unsupported, match="paint"):
            gathered(engine.generate([Request.ask("What is it?", task=task, sampling=SHORT)]), 1)

    def test_a_bad_request_among_good_ones_is_refused_before_anything_is_said(self, engine: Engine) -> None:
        said = []
        with pytest.raises(PromptInvalid):
            said += list(engine.generate([Request.ask("What is it?", sampling=SHORT), Request.ask(" ")]))
        assert said == []
