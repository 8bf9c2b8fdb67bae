"""Composing that is told to stop: within a section or a token, with nothing written afterwards; what there was of it
becomes an article; a later stream goes on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.context import DraftTask
from agents.extractive import ExtractiveWriter
from agents.model_writer import ModelWriter
from interleaf.errors import InvalidBrief, RunBusy, Unsupported
from interleaf.schema import Brief, Budget, Event, Notice, TextBlock
from model.inference.engine import Request
from tests.fake_engine import FakeEngine
from tests.fakes import HashingEmbedder
from tests.workers.job_service import NOTES
from workers.composing import Composing
from workers.run.mind import EngineMind
from workers.run.run_folder import RunFolder
from workers.run.takeover import take_over
from workers.settings import Settings

BRIEF = Brief.model_validate(
    {"instruction": "Explain the tides.", "sources": [{"text": NOTES, "name": "tides.md"}], "pictures_wanted": 0}
)
NOTICE = Notice(code="budget_seconds", message="the limit was reached")


class Gated(ExtractiveWriter):
    """Calls `at` before each section, with how many were begun before."""

    def __init__(self, at: Callable[[int], None]) -> None:
        super().__init__(HashingEmbedder())
        self._at = at
        self.begun = 0
        self._lock = threading.Lock()

    def draft(self, task: DraftTask) -> tuple[TextBlock, ...]:
        with self._lock:
            self.begun += 1
            number = self.begun
        self._at(number)
        return super().draft(task)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.at(tmp_path / "runs", "r-stop")


def composing(folder: RunFolder, writer: object = None, **more: object) -> Composing:
    settings = Settings(home=folder.path.parents[1])
    return Composing(folder, settings, writer=writer or Gated(lambda n: None), **more)  # type: ignore[arg-type]


def files(folder: RunFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.path.iterdir() if path.is_file() and path.name != "lock"}


def test_it_stops_within_one_section_and_goes_on_later(folder: RunFolder) -> None:
    stop = threading.Event()
    writer = Gated(lambda n: stop.set() if n == 1 else None)
    run = composing(folder, writer, canceled=stop.is_set)
    events = list(run.stream(BRIEF))
    assert run.article is None
    assert writer.begun <= 2, "sections that waited for their turn began all the same"
    assert {event.kind for event in events} <= {"run_started", "stage_started", "stage_finished", "progress"}
    before = files(folder)
    time.sleep(0.05)
    assert files(folder) == before
    again = composing(folder)
    assert [event.kind for event in again.stream()][-1] == "finished"
    whole = composing(RunFolder.at(folder.path.parent, "r-whole"))
    list(whole.stream(BRIEF))
    assert again.article == whole.article


@pytest.mark.parametrize("after", range(14))
def test_stopped_after_any_event_it_writes_no_more_and_ends_alike(folder: RunFolder, after: int) -> None:
    seen: list[Event] = []
    run = composing(folder, canceled=lambda: len(seen) > after)
    seen.extend(run.stream(BRIEF))
    assert len(seen) == after + 1
    assert not folder.article_path.exists()
    again = composing(folder)
    list(again.stream(None if folder.exists else BRIEF))
    assert again.article is not None


def test_what_there_was_becomes_an_article(folder: RunFolder) -> None:
    stop = threading.Event()

    def at(number: int) -> None:
        if number >= 2:
            stop.set()
            time.sleep(0.2)  # the first is finished, and nothing else has begun

    run = composing(folder, Gated(at), canceled=stop.is_set)
    list(run.stream(BRIEF))
    article = run.salvaged(NOTICE)
    assert article is not None
    assert NOTICE in article.report.warnings
    text = " ".join(block.text for block in article.blocks if block.type != "figure")
    assert "moon" in text
    finished = composing(folder)
    list(finished.stream())
    assert finished.article is not None
    assert 0 < article.report.words < finished.article.report.words
    assert not any(notice.code == NOTICE.code for notice in finished.article.report.warnings)


def test_nothing_becomes_no_article(folder: RunFolder) -> None:
    run = composing(folder, canceled=lambda: True)
    list(run.stream(BRIEF))
    assert run.salvaged(NOTICE) is None


def test_a_model_is_stopped_within_a_token_and_its_tokens_are_counted(folder: RunFolder) -> None:
    spent: list[int] = []
    begun = threading.Event()

    def answer(request: Request) -> str:
        words = "".join(part for turn in request.turns for part in turn.parts if isinstance(part, str))
        if "Now write only section" not in words:
            return json.dumps({"title": "Tides", "sections": [{"heading": "One", "points": []}]})
        begun.set()
        return "It goes on and on. " * 100_000

    mind = EngineMind(
        FakeEngine(answer, context_length=40_000),
        lambda picture_id: folder.path,
        canceled=lambda: begun.is_set() and sum(spent) > 200,
        spent=spent.append,
    )
    writer = ModelWriter(mind, HashingEmbedder())
    run = composing(folder, writer, canceled=lambda: begun.is_set() and sum(spent) > 200)
    started = time.monotonic()
    events = list(run.stream(Brief(instruction="Write about tides.", pictures_wanted=0, writer="fake")))
    assert run.article is None
    assert "failed" not in [event.kind for event in events]
    assert 200 < sum(spent) < 400
    assert time.monotonic() - started < 10


def test_an_answer_is_given_to_its_own_question_only(folder: RunFolder) -> None:
    brief = BRIEF.model_copy(update={"approvals": BRIEF.approvals.model_copy(update={"outline": True})})
    run = composing(folder)
    list(run.stream(brief))
    assert run.question is not None
    asked = json.loads(json.dumps(run.question))
    # Another question than the one that was answered: it is asked again, not answered by chance.
    other = composing(folder)
    list(other.stream(answer={"decision": "approve"}, asked={**asked, "asks": "pictures"}))
    assert other.question == run.question
    done = composing(folder)
    list(done.stream(answer={"decision": "approve"}, asked=asked))
    assert done.article is not None
    # The worker died after the run took the answer: it comes again and is known already.
    again = composing(folder)
    list(again.stream(answer={"decision": "approve"}, asked=asked))
    assert again.article == done.article
    with pytest.raises(InvalidBrief, match="not waiting"):
        list(composing(folder).stream(answer="approve"))


def test_limits_are_refused_where_nobody_keeps_them(folder: RunFolder) -> None:
    limited = BRIEF.model_copy(update={"budget": Budget(seconds=60)})
    with pytest.raises(Unsupported, match="budget"):
        list(composing(folder).stream(limited))
    run = composing(folder, canceled=lambda: False)
    list(run.stream(limited))
    assert run.article is not None


def test_a_folder_is_taken_from_one_that_hangs(folder: RunFolder) -> None:
    stop, hold = threading.Event(), threading.Event()

    def at(number: int) -> None:
        if number == 3:
            stop.set()
            hold.wait(20)

    hung = composing(folder, Gated(at), canceled=lambda: False)
    worker = threading.Thread(target=lambda: list(hung.stream(BRIEF)))
    worker.start()
    assert stop.wait(10)
    time.sleep(0.2)
    with pytest.raises(RunBusy):
        list(composing(folder).stream())
    take_over(folder)
    writer = Gated(lambda n: None)
    other = composing(folder, writer)
    list(other.stream())
    assert other.article is not None
    assert 1 <= writer.begun <= 3, "it goes on from the other's checkpoints"
    assert not list((folder.path.parents[1] / "runs-aside").iterdir())
    hold.set()
    worker.join()
