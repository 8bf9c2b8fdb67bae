"""Door: what the routes use, in one frozen value; and how a route gets at it and at its caller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from api.asking import Asking
from api.known_keys import KnownKeys
from api.limits import Limits
from api.meter import Metrics
from api.nudges import Nudges
from api.queue_look import QueueLook
from api.room import Room
from api.streams import Streams
from api.threads import Threads
from interleaf.errors import KeyRefused, ScopeMissing
from workers.outbound.outbound import Outbound
from workers.store.answered import Answered
from workers.store.api_keys import ApiKey, ApiKeys, KeyScope
from workers.store.artifacts import ArtifactStore
from workers.store.batches import Batches
from workers.store.clock import Clock
from workers.store.database import Database
from workers.store.deliveries import Deliveries
from workers.store.document_renders import DocumentRenders
from workers.store.document_versions import DocumentVersions
from workers.store.events import JobEvents
from workers.store.jobs import Jobs
from workers.store.ledger import Ledger
from workers.store.libraries import Libraries
from workers.store.past_jobs import PastJobs
from workers.store.pieces import Pieces
from workers.store.schedules import Schedules
from workers.store.uploads import Uploads
from workers.store.webhooks import Webhooks
from workers.store.worker_beats import WorkerBeats

__all__ = ["Door", "KeyAdmin", "LibraryWriter", "MetricsReader", "Reader", "TheDoor", "Writer", "needs"]


@dataclass(frozen=True)
class Door:
    """Made once for an application (api/app.py)."""

    limits: Limits
    database: Database
    jobs: Jobs
    events: JobEvents
    keys: ApiKeys
    known_keys: KnownKeys
    ledger: Ledger
    uploads: Uploads
    pieces: Pieces
    versions: DocumentVersions
    renders: DocumentRenders
    past_jobs: PastJobs
    answered: Answered
    libraries: Libraries
    schedules: Schedules
    batches: Batches
    webhooks: Webhooks
    deliveries: Deliveries
    outbound: Outbound
    asking: Asking
    store: ArtifactStore
    nudges: Nudges
    queue: QueueLook
    threads: Threads
    clock: Clock
    runs_dir: Path
    libraries_dir: Path
    streams: Streams
    room: Room
    metrics: Metrics
    beats: WorkerBeats


async def _door(request: Request) -> Door:
    door: Door = request.app.state.door
    return door


TheDoor = Annotated[Door, Depends(_door)]

# For the description alone: the gate (api/keys.py) has looked at the header before any route.
_BEARER = HTTPBearer(scheme_name="key", description="A key of the service: `Bearer ilk_…`", auto_error=False)


def needs(scope: KeyScope) -> Callable[..., Awaitable[ApiKey]]:
    """A dependency: the caller's key, which must have that scope. ScopeMissing."""

    async def caller(request: Request, _shown: object = Security(_BEARER, scopes=[scope])) -> ApiKey:
        key = request.scope.get("state", {}).get("key")
        if not isinstance(key, ApiKey):  # the gate lets nobody in without; this holds if it is ever mounted elsewhere
            raise KeyRefused("Authorization", "names no key.", "Send the header Authorization: Bearer ilk_….")
        if not key.may(scope):
            raise ScopeMissing(scope, f"is not among the scopes of key {key.prefix}….", "Ask for a key that has it.")
        return key

    return caller


Reader = Annotated[ApiKey, Depends(needs("jobs:read"))]
Writer = Annotated[ApiKey, Depends(needs("jobs:write"))]
LibraryWriter = Annotated[ApiKey, Depends(needs("library:write"))]
MetricsReader = Annotated[ApiKey, Depends(needs("metrics:read"))]
KeyAdmin = Annotated[ApiKey, Depends(needs("admin"))]
