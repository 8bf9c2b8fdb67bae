"""Composing: one run of the workflow, from brief to article, as events; the same in process and in a worker."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command

from agents.approve import check_answer
from agents.context import Context, Writer
from agents.graph import MAX_CONCURRENCY, article_graph, checkpoint_serializer
from agents.salvage import salvage
from interleaf.errors import (
    InterleafError,
    InvalidBrief,
    RequestRefused,
    RunBusy,
    RunCanceled,
    Unsupported,
    error_to_record,
)
from interleaf.schema import Article, Brief, Event, Notice
from interleaf.whole_file import write_whole
from workers.run.intake import Material, read_material, take_in
from workers.run.picture_shelf import PictureShelf
from workers.run.run_folder import RunFolder
from workers.settings import Settings
from workers.wiring import open_context

__all__ = ["Composing"]

MIB = 2**20
# A note is told when this much more of a stage is done.
PROGRESS_STEP = 0.01


class Composing:
    """A run that can be streamed, stopped at any moment (kill -9 included) and streamed again.

    `article` is the finished piece, or None while it is not finished; `question` is what a person
    is asked, or None.

    `canceled` is asked between events, before each section and before each token of a model; once it says True, the
    stream ends without a further event and nothing more is written. Who hands it in keeps the brief's limits and the
    deadlines of its questions; `spent` is told the tokens that models wrote; `called`: what people call a collection,
    where that is not its name.
    """

    def __init__(
        self,
        folder: RunFolder,
        settings: Settings,
        *,
        library_dir: Path | None = None,
        writer: Writer | None = None,
        called: Mapping[str, str] | None = None,
        canceled: Callable[[], bool] | None = None,
        spent: Callable[[int], None] = lambda tokens: None,
    ) -> None:
        self.folder = folder
        self.article: Article | None = None
        self.question: dict[str, Any] | None = None
        self._settings = settings
        self._library_dir = library_dir
        self._writer = writer
        self._called = called or {}
        self._keeps_limits = canceled is not None
        self._canceled = canceled or (lambda: False)
        self._spent = spent
        self._events_path = folder.path / "events.jsonl"
        self._next_id = 0
        self._planned = False

    def stream(
        self,
        brief: Brief | None = None,
        base: Path | None = None,
        answer: Any = None,
        asked: Mapping[str, Any] | None = None,
    ) -> Iterator[Event]:
        """Begin the run (with `brief`; relative paths start at `base`) or go on with it (without).

        `answer` replies to the question on which the run waits; with `asked`, to that question only: a run that no
        longer waits for it had the answer before. Yields events with rising ids; ends after `finished`,
        `needs_input`, or by raising (after a `failed` event).
        """
        if brief is None or self.folder.exists:
            self.folder.require()
        else:
            _check_offered(brief, self._keeps_limits)
            self.folder.create()
        resumed = self.folder.exists
        try:
            with self.folder.held():
                brief = self._accept(brief, base)
                self._next_id = self._events_so_far()
                try:
                    with closing(self._work(brief, resumed, answer, asked)) as events:
                        for event in events:
                            yield event
                            if self._canceled():
                                return
                except InterleafError as error:
                    if isinstance(error, RunCanceled) and self._canceled():
                        return
                    yield self._event(
                        "failed", message=error.message.splitlines()[0][:2000], data={"error": error_to_record(error)}
                    )
                    raise
        except RunBusy:
            raise  # it is another process's run
        except RequestRefused:
            # Refused before anything was planned: there is nothing to resume, so nothing stays behind.
            if not resumed and not self._planned:
                shutil.rmtree(self.folder.path)
            raise

    def _accept(self, brief: Brief | None, base: Path | None) -> Brief:
        """The brief of this run: the one on disk, or the new one, which is on disk before anything else happens."""
        if self.folder.exists:
            kept = Brief.model_validate_json(self.folder.brief_path.read_bytes())
            if brief is not None and _anchored(brief, base) != kept:
                raise InvalidBrief(
                    "run id",
                    f"run {self.folder.run_id} was begun with another brief.",
                    "Choose another run id, or resume it without a brief.",
                )
            return kept
        assert brief is not None
        brief = _anchored(brief, base)
        write_whole(self.folder.brief_path, brief.model_dump_json(indent=1).encode())
        return brief

    def salvaged(self, notice: Notice) -> Article | None:
        """What there is of a run that was stopped, as an article whose report says `notice`; None when no text is.

        The run itself stays as it is: a later `stream` goes on where it stopped.
        """
        with self.folder.held():
            material = read_material(self.folder)
            if material is None:
                return None
            brief = Brief.model_validate_json(self.folder.brief_path.read_bytes())
            with self._opened(brief, material) as context, self._checkpoints() as checkpoints:
                snapshot = article_graph(checkpoints).get_state(self._config())
                # Sections that were finished while others were not are kept apart until all are.
                finished = [task.result for task in snapshot.tasks if isinstance(task.result, dict)]
                return salvage(snapshot.values, finished, context, notice)

    def _work(
        self, brief: Brief, resumed: bool, answer: Any, asked: Mapping[str, Any] | None
    ) -> Generator[Event, None, None]:
        yield self._event("run_started", message="resumed" if resumed else "started")
        material = read_material(self.folder)
        if material is None:
            material = yield from self._take_in(brief)
        with self._opened(brief, material) as context, self._checkpoints() as checkpoints:
            graph, config = article_graph(checkpoints), self._config()
            snapshot = graph.get_state(config)
            waiting = [i.value for task in snapshot.tasks for i in task.interrupts]
            entry: Any
            if not snapshot.created_at:
                entry = {"brief": brief}
            elif waiting and (answer is None or (asked is not None and _plain(asked) != _plain(waiting[0]))):
                yield self._ask(waiting[0])
                return
            elif waiting:
                check_answer(waiting[0], answer)
                entry = Command(resume=answer)
            elif answer is not None and asked is None:
                raise InvalidBrief("answer", "this run is not waiting for one.", "Resume it without an answer.")
            else:
                entry = None
            # Not `snapshot.next`: that is empty, too, where the tasks of a step ended and the step did not.
            if "article" in snapshot.values:
                article = snapshot.values["article"]
            else:
                question = None
                chunks: Any = graph.stream(
                    entry,
                    config,
                    context=context,
                    stream_mode=["tasks", "custom", "updates"],
                    durability="sync",
                )
                with closing(chunks):
                    for mode, chunk in chunks:
                        if self._canceled():
                            return
                        if mode == "updates" and "__interrupt__" in chunk:
                            question = chunk["__interrupt__"][0].value
                        elif (event := self._translated(mode, chunk)) is not None:
                            yield event
                if question is not None:
                    yield self._ask(question)
                    return
                article = graph.get_state(config).values["article"]
        if self._canceled():
            return
        self.article = article
        write_whole(self.folder.article_path, (article.model_dump_json(indent=1) + "\n").encode())
        yield self._event("finished", message=article.title, data={"report": article.report.model_dump(mode="json")})

    @contextmanager
    def _opened(self, brief: Brief, material: Material) -> Iterator[Context]:
        with open_context(
            brief,
            material,
            self._settings,
            library_dir=self._library_dir,
            writer=self._writer,
            pixels=PictureShelf(self.folder, self._library_dir or self._settings.library_dir).path,
            called=self._called,
            canceled=self._canceled,
            spent=self._spent,
        ) as context:
            yield context

    @contextmanager
    def _checkpoints(self) -> Iterator[SqliteSaver]:
        with closing(sqlite3.connect(self.folder.checkpoints_path, check_same_thread=False)) as connection:
            yield SqliteSaver(connection, serde=checkpoint_serializer())

    def _config(self) -> Any:
        return {"configurable": {"thread_id": self.folder.run_id}, "max_concurrency": MAX_CONCURRENCY}

    def _take_in(self, brief: Brief) -> Generator[Event, None, Material]:
        yield self._event("stage_started", stage="read")
        # Read in a thread, so that progress can be told while it goes on.
        told: SimpleQueue[tuple[float, str] | None] = SimpleQueue()

        def tell(share: float, what: str) -> None:
            if self._canceled():
                raise RunCanceled("run", "was canceled while its notes and pictures were read.")
            told.put((share, what))

        with ThreadPoolExecutor(1, thread_name_prefix="intake") as pool:
            reading = pool.submit(
                take_in,
                brief,
                Path("/"),
                self.folder,
                max_source_bytes=self._settings.max_source_mb * MIB,
                max_pictures=self._settings.max_pictures,
                on_progress=tell,
            )
            reading.add_done_callback(lambda _: told.put(None))
            last = -1.0
            while (note := told.get()) is not None:
                if note[0] - last >= PROGRESS_STEP:
                    last = note[0]
                    yield self._event("progress", stage="read", share_done=min(1.0, last), message=note[1])
            material = reading.result()
        yield self._event(
            "stage_finished",
            stage="read",
            share_done=1.0,
            message=f"{len(material.sources)} notes, {len(material.candidates)} pictures",
        )
        return material

    def _translated(self, mode: str, chunk: Any) -> Event | None:
        if mode == "custom":
            return self._event("progress", **chunk)
        if mode == "tasks" and chunk["name"] in STAGE_OF_NODE:
            stage = STAGE_OF_NODE[chunk["name"]]
            if "input" in chunk:
                return self._event("stage_started", stage=stage)
            if not chunk.get("error") and not chunk.get("interrupts"):
                self._planned = True
                return self._event("stage_finished", stage=stage, data=_made(chunk.get("result")))
        return None

    def _ask(self, question: dict[str, Any]) -> Event:
        self.question = question
        return self._event("needs_input", message=f"waits for approval: {question['asks']}", data=question)

    def _event(self, kind: Any, **fields: Any) -> Event:
        event = Event(id=self._next_id, run_id=self.folder.run_id, kind=kind, **fields)
        self._next_id += 1
        with self._events_path.open("a", encoding="utf-8") as log:
            log.write(event.model_dump_json() + "\n")
        return event

    def _events_so_far(self) -> int:
        """How many whole lines the log holds; half a line of a killed writer is closed, so that ids stay unique."""
        if not self._events_path.is_file():
            return 0
        with self._events_path.open("rb+") as log:
            data = log.read()
            if data and not data.endswith(b"\n"):
                log.write(b"\n")
                data += b"\n"
        return data.count(b"\n")


STAGE_OF_NODE: dict[str, Any] = {
    "plan": "plan",
    "draft": "draft",
    "review": "review",
    "spot": "spot",
    "caption": "caption",
    "retrieve": "retrieve",
    "choose": "choose",
    "assemble": "assemble",
}


def _plain(question: Mapping[str, Any]) -> Any:
    """A question as it looks after JSON, to compare it with one that lay in a database."""
    return json.loads(json.dumps(question))


def _check_offered(brief: Brief, keeps_limits: bool) -> None:
    if brief.kind != "article":
        raise Unsupported("kind", f"{brief.kind!r} pieces are not composed by this version.", "Use kind: article.")
    if keeps_limits:
        return
    if brief.budget.seconds is not None or brief.budget.tokens is not None:
        raise Unsupported("budget", "limits are kept by the service only.", "Leave the budget out, or submit a job.")
    if brief.approvals.timeout_s is not None:
        raise Unsupported("approvals.timeout_s", "here a question waits without end.", "Leave it out, or submit a job.")


def _anchored(brief: Brief, base: Path | None) -> Brief:
    """The brief with absolute paths, so that it means the same when it is resumed from another folder."""
    start = (base or Path.cwd()).absolute()

    def absolute(path: str) -> str:
        return str(start / Path(path).expanduser())

    return brief.model_copy(
        update={
            "sources": tuple(
                s if s.path is None else s.model_copy(update={"path": absolute(s.path)}) for s in brief.sources
            ),
            "pictures": tuple(p.model_copy(update={"path": absolute(p.path)}) for p in brief.pictures),
        }
    )


def _made(result: Any) -> dict[str, Any]:
    """What of a step's result a reader may want before the piece is there: the outline, a section's blocks as they were
    drafted, what the libraries have for each place, or where pictures stand."""
    made = result if isinstance(result, dict) else {}
    told: dict[str, Any] = {}
    if "outline" in made and "drafts" not in made:
        told["outline"] = made["outline"].model_dump(mode="json")
    elif "drafts" in made:
        shown = {"type", "text", "level", "items", "header", "rows"}
        told["blocks"] = [
            {"section_index": index, **block.model_dump(mode="json", include=shown)}
            for index, blocks in made["drafts"].items()
            for block in blocks
        ]
    if made.get("found"):
        told["candidates"] = [
            {"slot": slot, "pictures": [{"picture_id": picture_id, "score": score} for picture_id, score in row]}
            for slot, row in made["found"].items()
        ]
    if "choices" in made:
        told["pictures"] = [
            {"slot": choice.slot, "picture_id": choice.picture_id, "reason": choice.reason}
            for choice in made["choices"]
        ]
    return told
