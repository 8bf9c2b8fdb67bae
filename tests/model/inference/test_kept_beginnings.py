"""An engine that keeps beginnings answers as one that does not, and computes only what is new."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from interleaf.errors import OutOfMemory
from model.inference.beginnings import Beginnings
from model.inference.engine import Request, Sampling, gathered
from model.inference.engines import open_engine
from model.inference.xcomposer_engine import XComposerEngine
from model.inference.xcomposer_steps import EncodedPicture, PreparedPrompt, XComposerSteps
from model.prompts.prompt import PICTURE, Turn
from tests.model.test_whole import shelved
from tests.model.tiny import PICTURE as PLACEHOLDER
from tests.model.tiny import tiny_model

SHORT = Sampling(max_new_tokens=5)
NOTES = "The sea rises and falls twice a day, and the moon is the reason for most of it. " * 3


def photo(shade: int) -> Image.Image:
    return Image.linear_gradient("L").resize((200, 120)).point(lambda v: (v + shade) % 256).convert("RGB")


PHOTOS = [photo(0), photo(70), photo(140)]  # all of one size: their placeholders are the same


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shelved(tmp_path_factory.mktemp("kept"), "2d5-7b")


def opened(folder: Path, **more: Any) -> XComposerEngine:
    engine = open_engine(folder)
    assert isinstance(engine, XComposerEngine)
    return XComposerEngine(engine._model, engine._processor, "tiny", folder=folder, **more)


@pytest.fixture(scope="module")
def plain(folder: Path) -> XComposerEngine:
    """Without beginnings."""
    return opened(folder, beginning_bytes=0)


@pytest.fixture
def engine(folder: Path) -> XComposerEngine:
    return opened(folder)


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
    """Rows and tokens of every forward."""
    seen: list[tuple[int, int]] = []
    true_forward = XComposerSteps._forward

    def watched(self: XComposerSteps, ids: Any, *rest: Any) -> torch.Tensor:
        seen.append((len(ids), len(ids[0])))
        return true_forward(self, ids, *rest)

    monkeypatch.setattr(XComposerSteps, "_forward", watched)
    yield seen


def answer(engine: XComposerEngine, request: Request) -> str:
    return gathered(engine.generate([request]), 1)[0].text


def turns(*said: str, pictures: int = 1) -> tuple[Turn, ...]:
    """Questions and answers in turn; the first question shows pictures."""
    return tuple(
        Turn("assistant" if i % 2 else "user", (*[PICTURE] * (0 if i else pictures), words))
        for i, words in enumerate(said)
    )


def test_a_later_turn_computes_only_what_is_new(
    engine: XComposerEngine, plain: XComposerEngine, computed: list[tuple[int, int]]
) -> None:
    first = Request(turns(NOTES), pictures=(PHOTOS[0],), sampling=SHORT)
    later = Request(turns(NOTES, "So it is.", "And why?"), pictures=(PHOTOS[0],), sampling=SHORT)
    answer(engine, first)
    whole = computed[0][1]
    computed.clear()
    found = answer(engine, later)
    assert whole > 841 and computed[0][1] < 60
    assert found == answer(plain, later)
    computed.clear()
    answer(engine, later)
    assert computed[0] == (1, 1), "of a prompt that has run, its last token"


def test_a_batch_takes_its_beginning_from_earlier_requests(
    engine: XComposerEngine, plain: XComposerEngine, computed: list[tuple[int, int]]
) -> None:
    """Each row what it knows: much, the common beginning, or nothing at all."""
    answer(engine, Request.ask(NOTES + "Write the first section.", [PHOTOS[0]], sampling=SHORT))
    asked = [
        Request.ask(NOTES + "Write the first section.", [PHOTOS[0]], sampling=SHORT),
        Request.ask(NOTES + "The second, and take your time.", [PHOTOS[0]], sampling=SHORT),
        Request.ask("Something else.", sampling=SHORT),
        Request.ask(NOTES + "Write the first section.", [PHOTOS[1]], sampling=SHORT, task="web"),
    ]
    computed.clear()
    together = gathered(engine.generate(asked[:2]), 2)
    assert computed[0][0] == 2 and computed[0][1] < 60
    assert together == gathered(plain.generate(asked[:2]), 2)
    assert gathered(engine.generate(asked), 4) == gathered(plain.generate(asked), 4)


def test_what_some_of_a_batch_share_is_computed_once(plain: XComposerEngine, computed: list[tuple[int, int]]) -> None:
    """Questions about more and more of one article, as for captions, beside two that share something else."""
    parts = [f"{number} {NOTES}" for number in range(4)]
    asked = [Request.ask("".join(parts[: n + 1]) + "A caption?", sampling=SHORT) for n in (2, 0, 3, 1)]
    asked += [Request.ask(f"{NOTES}{word}", sampling=SHORT, task="write") for word in ("One?", "Two?")]
    whole = [plain.count(request) for request in asked]
    together = gathered(plain.generate(asked), 6)
    first, second, rows = computed[:3]
    assert first[0] == second[0] == 1 and rows[0] == 6
    assert first[1] > whole[0] - 20 and rows[1] < max(whole) - first[1] + 20
    assert together == [gathered(plain.generate([request]), 1)[0] for request in asked]


def test_prompts_of_other_lengths_that_have_run_take_a_token_each(
    engine: XComposerEngine, plain: XComposerEngine, computed: list[tuple[int, int]]
) -> None:
    """Nothing is padding among what is new; among what is known there is."""
    asked = [Request.ask(NOTES, sampling=SHORT), Request.ask(f"{NOTES * 2} Go on.", sampling=SHORT)]
    expected = gathered(plain.generate(asked), 2)
    gathered(engine.generate(asked), 2)
    computed.clear()
    assert gathered(engine.generate(asked), 2) == expected
    assert computed[0] == (2, 1)


@pytest.mark.parametrize(
    ("change", "known"),
    [
        ({}, True),
        ({"pictures": (PHOTOS[1],)}, False),
        ({"task": "web"}, False),
        ({"system": "Be kind."}, False),
    ],
)
def test_what_differs_is_not_taken_for_the_same(
    engine: XComposerEngine,
    plain: XComposerEngine,
    computed: list[tuple[int, int]],
    change: dict[str, Any],
    known: bool,
) -> None:
    def request(**more: Any) -> Request:
        given: dict[str, Any] = {"pictures": (PHOTOS[0],), "sampling": SHORT, "task": "write"}
        return Request(turns(NOTES), **(given | more))

    answer(engine, request())
    whole = computed[0][1]
    computed.clear()
    changed = request(**change)
    found = answer(engine, changed)
    assert (computed[0][1] == 1) if known else (computed[0][1] > 841 and computed[0][1] >= whole - 10)
    assert found == answer(plain, changed)


def test_choosing_goes_on_from_earlier_choices(
    engine: XComposerEngine, plain: XComposerEngine, computed: list[tuple[int, int]]
) -> None:
    """The next place in a selection: the article so far with what was chosen, and new candidates."""

    def place(*, chosen: int) -> Request:
        parts: list[Any] = ["Choose the picture that fits. ", NOTES]
        for number in range(chosen):
            parts += [PICTURE, f" {number} {NOTES}"]
        said = Turn("user", (*parts, "Candidates: A.", PICTURE, " B.", PICTURE))
        pictures = (*PHOTOS[:chosen], PHOTOS[2], PHOTOS[chosen])
        return Request((said,), pictures=pictures, answer_start="The best is ")

    options = ["A", "B", "neither of the two"]
    first = engine.choose(place(chosen=0), options)
    whole = computed[0][1]
    computed.clear()
    second = engine.choose(place(chosen=1), options)
    new = computed[0][1]
    assert whole < new < whole + 900, "the picture chosen, its text and the candidates; not the article before"
    assert first == pytest.approx(plain.choose(place(chosen=0), options), abs=1e-4)
    assert second == pytest.approx(plain.choose(place(chosen=1), options), abs=1e-4)


def test_logits_are_those_of_a_fresh_computation_also_beyond_the_trained_length() -> None:
    model, generator = tiny_model(), torch.Generator().manual_seed(0)
    kept = Beginnings()
    ids = torch.randint(3, 80, (90,), generator=generator).tolist()
    ids[40:45] = [PLACEHOLDER] * 5
    vectors = torch.randn(5, 32, generator=generator)

    def logits(end: int, planned: int, key: str, beginnings: Beginnings | None) -> tuple[torch.Tensor, int]:
        picture = EncodedPicture(key, vectors if key == "sea" else vectors + 1)
        steps = XComposerSteps(model, [PreparedPrompt(tuple(ids[:end]), (picture,), "write", planned)], beginnings)
        first = steps.prefill()
        before = 0 if beginnings is None else int(beginnings.bytes_kept)
        return torch.cat([first, steps.step([7])]), before

    for end, planned, key in ((60, 62, "sea"), (80, 82, "sea"), (90, 120, "sea"), (85, 120, "sea"), (90, 120, "sky")):
        fresh, _ = logits(end, planned, key, None)
        for _ in range(2):
            found, _ = logits(end, planned, key, kept)
            torch.testing.assert_close(found, fresh, atol=1e-4, rtol=1e-4)
    settings_kept = {symbol[2] for symbol in kept._root.children}
    assert len(settings_kept) == 3, "62 within the trained length; 82 and 120 turn by other angles"


def test_other_weights_are_told(engine: XComposerEngine, computed: list[tuple[int, int]]) -> None:
    request = Request.ask(NOTES, [PHOTOS[0]], sampling=Sampling(max_new_tokens=12))
    answer(engine, request)
    weight = engine._model.model.layers[0].attention.wqkv.weight
    before = weight.detach().clone()
    with torch.no_grad():
        weight.add_(torch.randn_like(weight))
    engine.weights_changed()
    computed.clear()
    options = ["A", "B"]
    scores = engine.choose(request, options)
    assert computed[0][1] > 841 and engine.features.encoded == 2
    fresh = XComposerEngine(engine._model, engine._processor, "fresh", beginning_bytes=0).choose(request, options)
    assert scores == pytest.approx(fresh, abs=1e-4)
    with torch.no_grad():
        weight.copy_(before)


def test_bytes_are_bounded_and_given_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tight = opened(folder, beginning_bytes=300_000)
    for number in range(6):
        answer(tight, Request.ask(f"{number} {NOTES}", sampling=SHORT))
        assert 0 < tight.beginnings.bytes_kept <= 300_000

    def failing(*_: Any) -> None:
        raise torch.OutOfMemoryError("no room")

    with monkeypatch.context() as broken:
        broken.setattr(XComposerSteps, "step", failing)
        with pytest.raises(OutOfMemory):
            answer(tight, Request.ask(NOTES, sampling=SHORT))
    assert tight.beginnings.bytes_kept == 0, "who tries again has this memory too"
    answer(tight, Request.ask(NOTES, sampling=SHORT))
    tight.close()
    assert tight.beginnings.bytes_kept == tight.features.bytes_kept == 0


# Any sequence of requests

WORDS = st.sampled_from(["Tides.", NOTES, NOTES + "More?", NOTES + "Less?"])
ASKED = st.builds(
    lambda said, shown, task, system: Request(
        turns(*said, pictures=len(shown)),
        pictures=tuple(PHOTOS[i] for i in shown),
        sampling=SHORT,
        task=task,
        system=system,
        partition=None,
    ),
    st.lists(WORDS, min_size=1, max_size=3).filter(lambda said: len(said) % 2 == 1),
    st.lists(st.integers(0, 2), max_size=2),
    st.sampled_from(["base", "base", "write", "web"]),
    st.sampled_from(["", NOTES]),
)


# Not made smaller when it fails: that takes many minutes, and the requests say enough.
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(st.lists(st.lists(ASKED, min_size=1, max_size=3), min_size=2, max_size=5), st.sampled_from([2 << 30, 3_000_000]))
def test_any_requests_one_after_another_are_answered_as_without_memory(
    folder: Path, plain: XComposerEngine, calls: list[list[Request]], room: int
) -> None:
    kept = XComposerEngine(plain._model, plain._processor, "kept", folder=folder, beginning_bytes=room)
    kept.features = plain.features
    for requests in calls:
        assert gathered(kept.generate(requests), len(requests)) == gathered(plain.generate(requests), len(requests))
        scores = kept.choose(requests[0], ["A", "a longer one"])
        assert scores == pytest.approx(plain.choose(requests[0], ["A", "a longer one"]), abs=1e-3)
        assert kept.beginnings.bytes_kept <= room
