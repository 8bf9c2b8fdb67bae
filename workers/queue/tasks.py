"""Tasks: what Celery calls. Each takes ids, looks into the database what is to be done, and may come twice."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from billiard.process import current_process
from celery import signals

from workers.queue.celery_app import (
    COMPOSE_TASK,
    EDIT_TASK,
    FILES_TASK,
    INGEST_TASK,
    LIBRARY,
    MODEL_EDIT_TASK,
    RENDER,
    RENDER_TASK,
    REQUEST_TASK,
    SWEEP_TASK,
    TIDY_TASK,
    UPKEEP_TASK,
    app,
)
from workers.queue.courier import Courier
from workers.queue.dispatch import Dispatcher
from workers.queue.lease_keeper import LeaseKeeper
from workers.queue.tidying import Tidying
from workers.queue.tied_process import tie
from workers.queue.upkeep import upkeep
from workers.queue.worker_beat import WorkerBeat
from workers.run.process_memory import MEMORY
from workers.store.job_store import JobStore, job_store

if TYPE_CHECKING:
    from workers.outbound.outbound import Outbound
    from workers.queue.library_work import LibraryWork

__all__ = [
    "BEAT",
    "answer_request",
    "compose",
    "edit",
    "edit_by_model",
    "end_beats",
    "ingest",
    "keep_up",
    "render",
    "render_document",
    "sweep_library",
    "tidy",
]

BEAT: Final = "beat"
"""What beat calls itself among the workers."""


@dataclass(frozen=True)
class _Process:
    """What one worker process keeps from task to task."""

    store: JobStore
    keeper: LeaseKeeper
    dispatcher: Dispatcher


_processes: dict[int, _Process] = {}
_library_work: dict[int, LibraryWork] = {}
# A library worker's tasks run in threads, and its first ones may come at once.
_making = threading.Lock()
_beats: list[WorkerBeat] = []
_couriers: list[Courier] = []
_releasing: list[threading.Thread] = []
_tidiers: list[Tidying] = []
_tidying: list[threading.Thread] = []


def _process() -> _Process:
    pid = os.getpid()
    with _making:
        if pid not in _processes:
            store = job_store()
            _processes[pid] = _Process(store, LeaseKeeper(store.leases, store.settings.lease_s), Dispatcher(app, store))
        return _processes[pid]


def _library() -> LibraryWork:
    # Decoders and encoders take seconds to import: not in processes that have no use for them.
    from workers.queue.library_work import LibraryWork

    here, pid = _process(), os.getpid()
    with _making:
        if pid not in _library_work:
            _library_work[pid] = LibraryWork(here.store, here.keeper, here.dispatcher)
        return _library_work[pid]


@app.task(name=COMPOSE_TASK)  # type: ignore[untyped-decorator]
def compose(job_id: str) -> None:
    """Work on a job, if there is work to do on it and nobody else does."""
    here = _process()
    claim = here.store.leases.claim(job_id, here.store.worker, here.store.settings.lease_s)
    if claim is not None:
        # What composing needs takes seconds to import: not before there is a job.
        from workers.queue.job_run import JobRun

        JobRun(here.store, here.keeper, here.dispatcher, claim).run()
        MEMORY.tidy()


@app.task(name=RENDER_TASK)  # type: ignore[untyped-decorator]
def render(job_id: str, attempt: int, worker: str, format: str) -> None:
    """Render one format of a job's piece, on behalf of the worker that holds the job."""
    from workers.queue.rendering import render_format

    render_format(_process().store, job_id, attempt, worker, format)


@app.task(name=INGEST_TASK)  # type: ignore[untyped-decorator]
def ingest(job_id: str) -> None:
    """Take uploads into a library."""
    _library().ingest(job_id)


@app.task(name=EDIT_TASK)  # type: ignore[untyped-decorator]
def edit(job_id: str) -> None:
    """Carry out an edit by sentences of the sources, or bring a picture for one."""
    _library().edit(job_id)


@app.task(name=MODEL_EDIT_TASK)  # type: ignore[untyped-decorator]
def edit_by_model(job_id: str) -> None:
    """Carry out an edit by a model, where the models are."""
    here = _process()
    claim = here.store.leases.claim(job_id, here.store.worker, here.store.settings.lease_s)
    if claim is not None:
        from workers.queue.edit_run import EditRun

        EditRun(here.store, here.keeper, here.dispatcher, claim).run()
        MEMORY.tidy()


@app.task(name=FILES_TASK)  # type: ignore[untyped-decorator]
def render_document(job_id: str) -> None:
    """Make the files that an edited document lacks."""
    here = _process()
    claim = here.store.leases.claim(job_id, here.store.worker, here.store.settings.lease_s)
    if claim is not None:
        from workers.queue.files_run import FilesRun

        FilesRun(here.store, here.keeper, here.dispatcher, claim).run()


@app.task(name=SWEEP_TASK)  # type: ignore[untyped-decorator]
def sweep_library(library_id: str) -> None:
    """Remove the pictures of a deleted library."""
    _library().sweep(library_id)


@app.task(name=REQUEST_TASK)  # type: ignore[untyped-decorator]
def answer_request(request_id: str) -> None:
    """Answer somebody who waits for a search, or for a picture to go."""
    _library().answer(request_id)


@app.task(name=UPKEEP_TASK)  # type: ignore[untyped-decorator]
def keep_up() -> None:
    """One round of the reconciler and the dispatcher."""
    here = _process()
    upkeep(here.store, here.dispatcher)


@app.task(name=TIDY_TASK)  # type: ignore[untyped-decorator]
def tidy() -> None:
    """Begin a round of tidying, unless one is still at it: in a thread, since a slow file store must not keep the
    reconciler waiting."""
    if _tidying and _tidying[0].is_alive():
        return
    if not _tidiers:
        _tidiers.append(Tidying(_process().store))
    _tidying[:] = [threading.Thread(target=_tidiers[0].round, name="tidy", daemon=True)]
    _tidying[0].start()


@signals.celeryd_after_setup.connect  # type: ignore[untyped-decorator]
def _worker_is_set_up(instance: Any, **_: Any) -> None:
    if RENDER in instance.app.amqp.queues.consume_from:
        # Once here, before the pool forks, instead of in every child at its first file.
        import workers.queue.rendering  # noqa: F401


@signals.worker_ready.connect  # type: ignore[untyped-decorator]
def _worker_is_ready(sender: Any, **_: Any) -> None:
    # Children of a prefork pool say so themselves: the parent opens no connection that they would inherit.
    if sender.pool is not None and not sender.pool.__class__.__module__.endswith("prefork"):
        # A worker of several queues goes by the first of them, which bears the name of its role.
        queue = next(iter(sender.app.amqp.queues.consume_from))
        _begin_beat(queue)
        if queue == LIBRARY:
            _library().begin_warming()


@signals.worker_process_init.connect  # type: ignore[untyped-decorator]
def _child_is_ready(**_: Any) -> None:
    if current_process().name == "MainProcess":
        return  # a solo pool sends this, too, and forks nothing
    # Left alone by a worker that was killed, it would take messages for ever, and nobody could stop it.
    tie(os.getppid())
    _begin_beat(RENDER)


def _begin_beat(queue: str) -> None:
    beat = WorkerBeat(_process().store, queue)
    beat.start()
    _beats.append(beat)


def end_beats() -> None:
    """This process ends: nobody is to count on it any more."""
    for courier in _couriers:
        courier.stop()
    _couriers.clear()
    for beat in _beats:
        beat.stop()
    _beats.clear()


@signals.beat_init.connect  # type: ignore[untyped-decorator]
def _beat_is_ready(**_: Any) -> None:
    _begin_beat(BEAT)
    store = _process().store
    courier = Courier(store.deliveries, _outbound, clock=store.clock)
    courier.start()
    _couriers.append(courier)


def _outbound() -> Outbound:
    # A client of the web takes its memory: not where nobody has a webhook.
    from workers.outbound.outbound import Outbound

    return Outbound.of(_process().store.settings, https=True)


@signals.worker_shutting_down.connect  # type: ignore[untyped-decorator]
def _worker_stops(**_: Any) -> None:
    # This is called inside a signal handler: what takes a lock goes to a thread.
    here = _processes.get(os.getpid())
    if here is not None:
        thread = threading.Thread(target=_release, args=[here], name="release")
        thread.start()
        _releasing.append(thread)


def _release(here: _Process) -> None:
    work = _library_work.get(os.getpid())
    if work is not None:
        work.stop()
    here.keeper.release_all()


@signals.worker_shutdown.connect  # type: ignore[untyped-decorator]
@signals.worker_process_shutdown.connect  # type: ignore[untyped-decorator]
def _worker_ended(**_: Any) -> None:
    for thread in _releasing:
        thread.join(timeout=10)
    # A job that went over to rendering after the first call is given back as well.
    here = _processes.get(os.getpid())
    if here is not None:
        here.keeper.release_all()
    end_beats()
