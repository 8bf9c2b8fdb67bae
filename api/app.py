"""App: the door as one ASGI application, made from settings, a database and a file store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api import openapi, problems
from api.asking import Asking
from api.deprecation import DEPRECATED, Deprecated, Deprecation
from api.door import Door
from api.heads import Heads
from api.keys import Gate
from api.known_keys import KnownKeys
from api.limits import BodyGuard, Limits
from api.meter import Meter, Metrics
from api.nudges import LAST_S, Nudges
from api.queue_look import QueueLook
from api.rate import Rates
from api.request_id import RequestIds
from api.room import Room
from api.routes import (
    artifacts,
    batches,
    document_edits,
    document_pictures,
    documents,
    estimates,
    health,
    job_events,
    job_input,
    jobs,
    libraries,
    library_pictures,
    metrics,
    problem_pages,
    schedules,
    service_keys,
    uploads,
    usage,
    webhook_deliveries,
    webhooks,
)
from api.streams import Streams
from api.threads import Threads
from interleaf import __version__
from workers.outbound.outbound import Outbound
from workers.settings import Settings
from workers.store.answered import Answered
from workers.store.api_keys import ApiKeys
from workers.store.artifacts import ArtifactStore
from workers.store.batch_rounds import BatchRounds
from workers.store.batches import Batches
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.deliveries import Deliveries
from workers.store.document_renders import DocumentRenders
from workers.store.document_versions import DocumentVersions
from workers.store.events import JobEvents
from workers.store.job import Job
from workers.store.jobs import Jobs
from workers.store.leases import Leases
from workers.store.ledger import Ledger
from workers.store.libraries import Libraries
from workers.store.library_requests import LibraryRequests
from workers.store.past_jobs import PastJobs
from workers.store.pieces import Pieces
from workers.store.schedule_ticks import ScheduleTicks
from workers.store.schedules import Schedules
from workers.store.uploads import Uploads
from workers.store.webhooks import Webhooks
from workers.store.worker_beats import WorkerBeats

__all__ = ["create_app", "prepare"]


def prepare(database: Database, *, new_key: bool = False) -> str | None:
    """Before the first request: bring the database to our schema. The secret of the first key if there was no admin
    key in force, or of one more with `new_key`, to be shown to the operator once; else None."""
    database.upgrade()
    return ApiKeys(database).at_start(further=new_key)


def create_app(
    settings: Settings,
    database: Database,
    store: ArtifactStore,
    *,
    deliver: Callable[[str], object] | None = None,
    send_new: Callable[[Sequence[Job]], object] | None = None,
    queue_answers: Callable[[], bool] | None = None,
    limits: Limits | None = None,
    outbound: Outbound | None = None,
    clock: Clock = utc_now,
    rates: Rates | None = None,
    deprecated: Mapping[str, Deprecation] = DEPRECATED,
) -> FastAPI:
    """The service's HTTP side. It opens nothing and closes nothing: `database` and `store` belong to the caller, who
    has called `prepare`.

    `deliver(job_id)` sends a job's message to the queue if it needs one; None leaves that to the reconciler.
    `send_new(jobs)` sends those of new jobs that count as sent from their beginning; None: they are delivered, too.
    `queue_answers()` asks the queue for a sign of life, for /readyz; None: it is taken to be there. `limits` and
    `outbound`: instead of those of the settings.
    """
    kept = limits or Limits.of(settings)
    nudges = Nudges(deliver, send_new)
    all_jobs = Jobs(database, clock=clock, caller_sends=nudges.takes_new)
    keys, threads, counted = ApiKeys(database, clock=clock), Threads(kept.threads), Metrics()
    ticks = ScheduleTicks(
        database,
        Jobs(database, clock=clock),  # what these order is sent by upkeep
        max_active=kept.max_active_jobs,
        max_queued=kept.max_queued_jobs,
        clock=clock,
    )
    rounds = BatchRounds(
        database,
        Jobs(database, clock=clock),
        max_active=kept.max_active_jobs,
        max_queued=kept.max_queued_jobs,
        clock=clock,
    )
    door = Door(
        limits=kept,
        database=database,
        jobs=all_jobs,
        events=JobEvents(database),
        keys=keys,
        known_keys=KnownKeys(keys, threads),
        ledger=Ledger(database, clock=clock),
        uploads=Uploads(
            database,
            store,
            kept=timedelta(days=kept.upload_kept_days),
            max_bytes=kept.max_upload_bytes,
            clock=clock,
        ),
        pieces=Pieces(database),
        versions=DocumentVersions(database, clock=clock),
        renders=DocumentRenders(database, all_jobs, Leases(database, clock=clock), clock=clock),
        past_jobs=PastJobs(database),
        answered=Answered(database, clock=clock),
        libraries=Libraries(database, clock=clock),
        schedules=Schedules(database, all_jobs, ticks, upload_kept=timedelta(days=kept.upload_kept_days), clock=clock),
        batches=Batches(database, rounds, upload_kept=timedelta(days=kept.upload_kept_days), clock=clock),
        webhooks=Webhooks(database, clock=clock),
        deliveries=Deliveries(database, clock=clock),
        outbound=outbound or Outbound.of(settings, https=True),
        asking=Asking(LibraryRequests(database, clock=clock), threads, deliver, kept.library_wait_s),
        store=store,
        nudges=nudges,
        queue=QueueLook(queue_answers),
        threads=threads,
        clock=clock,
        runs_dir=settings.runs_dir,
        libraries_dir=settings.libraries_dir,
        streams=Streams(kept.max_streams),
        room=Room(all_jobs, max_active=kept.max_active_jobs, max_queued=kept.max_queued_jobs),
        metrics=counted,
        beats=WorkerBeats(database, clock=clock),
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(door.nudges.run)
            yield
            # Jobs that count as sent are sent before the end; a queue that hangs must not keep it off.
            door.nudges.close()
            tasks.cancel_scope.deadline = anyio.current_time() + LAST_S

    app = FastAPI(
        title="interleaf",
        version=__version__,
        # No pages of the framework's: they load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=[  # from the outside to the inside
            Middleware(RequestIds),
            Middleware(Meter, metrics=counted),
            Middleware(Gate, door=lambda: door, rates=rates or Rates()),
            Middleware(BodyGuard, limits=kept, upload_paths=frozenset({uploads.PATH})),
            *([Middleware(Deprecated, named=deprecated)] if deprecated else []),
            Middleware(Heads),
        ],
    )
    app.state.door = door
    problems.install(app, lambda path: openapi.methods_of(openapi.describe(app, deprecated), path))
    parts = (
        jobs,
        estimates,
        job_input,
        job_events,
        documents,
        document_edits,
        document_pictures,
        artifacts,
        uploads,
        libraries,
        library_pictures,
        schedules,
        batches,
        webhooks,
        webhook_deliveries,
        service_keys,
        usage,
        health,
        metrics,
        problem_pages,
    )
    for part in parts:
        app.include_router(part.router)

    async def description(request: Request) -> Response:
        return JSONResponse(openapi.describe(app, deprecated), headers={"Cache-Control": "no-cache"})

    app.add_route(openapi.PATH, description, methods=["GET"], include_in_schema=False)
    return app
