"""The article graph: what comes out, what streams, where it stops for a person, and that a kill loses nothing."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command

from agents.approve import check_answer
from agents.context import Context, Finding
from agents.graph import MAX_CONCURRENCY, article_graph, checkpoint_serializer
from agents.review import MAX_REVIEW_ROUNDS
from interleaf.errors import InvalidBrief, NothingToSay, RunCanceled, WriterMisspoke
from interleaf.schema import Brief, Figure, Outline
from tests.agents import run_graph
from tests.fakes import ParrotWriter

ROOT = Path(__file__).resolve().parents[2]
CONFIG: dict[str, Any] = {"configurable": {"thread_id": "run"}, "max_concurrency": MAX_CONCURRENCY}


def _graph(folder: Path):
    connection = sqlite3.connect(folder / "checkpoints.db", check_same_thread=False)
    return article_graph(SqliteSaver(connection, serde=checkpoint_serializer()))


def _brief(**fields: Any) -> Brief:
    return Brief.model_validate({"instruction": "Write it all down.", "language": "en", **fields})


def _run(folder: Path, brief: Brief, context: Context | None = None):
    graph = _graph(folder)
    graph.invoke({"brief": brief}, CONFIG, context=context or run_graph.context(folder), durability="sync")
    return graph


def test_an_article_has_every_section_and_picture_in_its_place(tmp_path: Path) -> None:
    article = _run(tmp_path, _brief()).get_state(CONFIG).values["article"]
    assert [b.text for b in article.blocks if b.type == "heading"] == list(run_graph.SUBJECTS)
    assert len(article.figures) == len(run_graph.SUBJECTS)
    for i, block in enumerate(article.blocks):
        if isinstance(block, Figure):
            subject = article.picture(block.picture_id).name.removesuffix(".png")
            assert subject in article.blocks[i - 1].text
            assert block.alt
            assert block.reason
    assert article.report.sentences == article.report.sentences_with_span > 0
    assert article.report.pictures_considered == 8


def test_the_exact_number_of_pictures_is_kept_and_zero_means_none(tmp_path: Path) -> None:
    for wanted in (0, 3):
        folder = tmp_path / str(wanted)
        folder.mkdir()
        article = _run(folder, _brief(pictures_wanted=wanted)).get_state(CONFIG).values["article"]
        assert len(article.figures) == wanted


def test_stages_stream_while_it_works(tmp_path: Path) -> None:
    graph = _graph(tmp_path)
    stages = [
        chunk["stage"]
        for chunk in graph.stream(
            {"brief": _brief()}, CONFIG, context=run_graph.context(tmp_path), stream_mode="custom"
        )
    ]
    seen = list(dict.fromkeys(stages))
    assert seen == ["plan", "draft", "review", "spot", "caption", "retrieve", "choose", "assemble"]


def test_an_outline_waits_for_a_person_and_another_process_may_answer(tmp_path: Path) -> None:
    context = run_graph.context(tmp_path)
    brief = _brief(approvals={"outline": True})
    first = _graph(tmp_path)
    first.invoke({"brief": brief}, CONFIG, context=context, durability="sync")
    (waiting,) = first.get_state(CONFIG).tasks[0].interrupts
    assert waiting.value["asks"] == "outline"
    assert not (tmp_path / "calls.log").exists(), "nothing is drafted before the answer"
    del first

    edited = Outline.model_validate(waiting.value["outline"])
    edited = edited.model_copy(update={"title": "Edited", "sections": edited.sections[2:4]})
    second = _graph(tmp_path)  # a new connection, as another process would have
    answer = {"decision": "edit", "outline": edited.model_dump(mode="json")}
    second.invoke(Command(resume=answer), CONFIG, context=context, durability="sync")
    article = second.get_state(CONFIG).values["article"]
    assert article.title == "Edited"
    assert [b.text for b in article.blocks if b.type == "heading"] == ["locks", "kites"]


def test_a_no_ends_the_run_for_good(tmp_path: Path) -> None:
    context = run_graph.context(tmp_path)
    graph = _run(tmp_path, _brief(approvals={"outline": True}))
    with pytest.raises(RunCanceled):
        graph.invoke(Command(resume={"decision": "cancel"}), CONFIG, context=context, durability="sync")
    with pytest.raises(RunCanceled):
        graph.invoke(None, CONFIG, context=context, durability="sync")


A, B, C = ("a" * 64, "b" * 64, "c" * 64)
ASKED_PICTURES = {
    "asks": "pictures",
    "pictures": [
        {"slot": 2, "picture_id": A, "alternatives": [B]},
        {"slot": 4, "picture_id": C, "alternatives": [B]},
    ],
}


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ({"asks": "outline"}, {"decision": "perhaps"}),
        ({"asks": "outline"}, None),
        ({"asks": "outline"}, {"decision": "edit"}),
        ({"asks": "outline"}, {"decision": "edit", "outline": {"sections": []}}),
        ({"asks": "outline"}, {"decision": "edit", "outline": {"sections": [{"colour": 1}]}}),
        (ASKED_PICTURES, {"decision": "edit", "pictures": [1]}),
        (ASKED_PICTURES, {"decision": "edit", "pictures": {"3": None}}),
        (ASKED_PICTURES, {"decision": "edit", "pictures": {"2": "../../etc/passwd"}}),
        (ASKED_PICTURES, {"decision": "edit", "pictures": {"2": B, "4": B}}),
    ],
)
def test_a_wrong_answer_is_refused_before_it_reaches_the_run(question: dict[str, Any], answer: Any) -> None:
    with pytest.raises(InvalidBrief):
        check_answer(question, answer)


def test_pictures_wait_for_a_person_who_may_swap_and_remove(tmp_path: Path) -> None:
    context = run_graph.context(tmp_path)
    graph = _run(tmp_path, _brief(approvals={"pictures": True}, pictures_wanted=3))
    (waiting,) = graph.get_state(CONFIG).tasks[0].interrupts
    asked = waiting.value["pictures"]
    taken = {p["picture_id"] for p in asked}
    swap = next(a for a in asked[0]["alternatives"] if a not in taken)
    answer = {"decision": "edit", "pictures": {str(asked[0]["slot"]): swap, str(asked[1]["slot"]): None}}
    graph.invoke(Command(resume=answer), CONFIG, context=context, durability="sync")
    figures = graph.get_state(CONFIG).values["article"].figures
    assert [f.picture_id for f in figures] == [swap, asked[2]["picture_id"]]
    assert figures[0].reason == "A person chose it."


def test_a_writer_that_breaks_its_contract_is_refused(tmp_path: Path) -> None:
    class Careless(ParrotWriter):
        def spot(self, task):
            return (*super().spot(task), *super().spot(task))

    context = run_graph.context(tmp_path)
    broken = Context(writer=Careless(), finder=context.finder, sources=context.sources, candidates=context.candidates)
    with pytest.raises(WriterMisspoke, match="twice"):
        _run(tmp_path, _brief(), broken)


def test_a_piece_without_text_is_an_error_and_never_content(tmp_path: Path) -> None:
    class Silent(ParrotWriter):
        def draft(self, task):
            return ()

    context = run_graph.context(tmp_path)
    silent = Context(writer=Silent(), finder=context.finder, sources=context.sources)
    with pytest.raises(NothingToSay):
        _run(tmp_path, _brief(), silent)


def test_what_a_review_drops_is_gone_and_what_it_notes_is_told(tmp_path: Path) -> None:
    class Strict(ParrotWriter):
        def review(self, brief, title, blocks):
            return (Finding("dull", "a dull paragraph", blocks[1].id, "drop"), Finding("long", "rather long"))

    context = run_graph.context(tmp_path)
    strict = Context(writer=Strict(), finder=context.finder, sources=context.sources)
    article = _run(tmp_path, _brief(), strict).get_state(CONFIG).values["article"]
    assert article.blocks[1].text.startswith("More about bees")
    assert "rather long" in [w.message for w in article.report.warnings]


def test_sections_are_sent_back_a_counted_number_of_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drafted: list[int] = []

    class Counting(ParrotWriter):
        def draft(self, task):
            drafted.append(task.section_index)
            return super().draft(task)

    # A review that is never content with a length.
    monkeypatch.setattr("agents.review.fit_lengths", lambda outline, words, wanted: (outline, tuple(words)))
    context = run_graph.context(tmp_path)
    counting = Context(writer=Counting(), finder=context.finder, sources=context.sources)
    article = _run(tmp_path, _brief(length_words=4000), counting).get_state(CONFIG).values["article"]
    assert article.blocks
    assert {drafted.count(index) for index in range(len(run_graph.SUBJECTS))} == {1 + MAX_REVIEW_ROUNDS}


def _lines(log: Path) -> int:
    return log.read_bytes().count(b"\n") if log.exists() else 0


@pytest.mark.slow
def test_killed_at_random_moments_it_goes_on_and_gives_the_same_article(tmp_path: Path) -> None:
    """kill -9 of a real process, again and again; the checkpoints make it one article, the undisturbed one."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'sdk'}"}
    command = [sys.executable, str(ROOT / "tests" / "agents" / "run_graph.py")]
    calm = tmp_path / "calm"
    calm.mkdir()
    subprocess.run([*command, str(calm), "7"], check=True, env=environment, timeout=120)
    expected = (calm / "article.json").read_bytes()

    moments = random.Random(11)
    all_kills = 0
    for trial in range(3):
        folder = tmp_path / f"killed{trial}"
        folder.mkdir()
        log = folder / "calls.log"
        kills = 0
        while not (folder / "article.json").exists():
            process = subprocess.Popen([*command, str(folder), "7"], env=environment, stderr=subprocess.PIPE)
            if kills < 4:
                # A moment of the work, wherever this machine is slow: some sections on, and a little later.
                aim = _lines(log) + moments.randint(0, 3)
                while process.poll() is None and _lines(log) < aim:
                    time.sleep(0.002)
                time.sleep(moments.uniform(0.0, 0.3))
                process.send_signal(signal.SIGKILL)
                process.communicate()
                kills += 1
            else:
                _, said = process.communicate(timeout=120)
                assert process.returncode == 0, said.decode()
        all_kills += kills
        assert (folder / "article.json").read_bytes() == expected
        # What is drafted again after a kill: two under way, and one finished in the very moment; the rest is kept.
        assert _lines(log) <= len(run_graph.SUBJECTS) + 3 * kills
    assert all_kills >= 3, "the test must have killed something"


def test_a_finished_section_is_on_disk_while_others_are_still_written(tmp_path: Path) -> None:
    """The first two sections end at once; every other one waits until the database holds both, or gives up."""
    seen: list[bool] = []

    class Patient(ParrotWriter):
        def draft(self, task):
            if task.section_index >= 2 and not seen:
                deadline = time.monotonic() + 3
                while (
                    found := _saved_drafts(tmp_path / "checkpoints.db") >= 2
                ) is False and time.monotonic() < deadline:
                    time.sleep(0.01)
                seen.append(found)
            return super().draft(task)

    context = run_graph.context(tmp_path)
    _run(tmp_path, _brief(), Context(writer=Patient(), finder=context.finder, sources=context.sources))
    assert seen[0], "finished sections waited unsaved behind those not finished"


def _saved_drafts(database: Path) -> int:
    with sqlite3.connect(database) as connection:
        return int(connection.execute("SELECT count(*) FROM writes WHERE channel = 'drafts'").fetchone()[0])


def test_a_picture_nobody_offered_is_refused(tmp_path: Path) -> None:
    class Inventive(ParrotWriter):
        def choose(self, task):
            return (replace(super().choose(task)[0], picture_id="f" * 64),)

    context = run_graph.context(tmp_path)
    inventive = Context(
        writer=Inventive(), finder=context.finder, sources=context.sources, candidates=context.candidates
    )
    with pytest.raises(WriterMisspoke, match="unknown"):
        _run(tmp_path, _brief(), inventive)
