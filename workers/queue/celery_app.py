"""Celery app: how messages reach the workers. A message carries ids only; the database of jobs is the truth.

What these options are for was measured: Redis hands a message to a second worker when the first is slow, workers can
fall silent, messages can be lost. Leases and the reconciler make all of that harmless; the options make it rare.
"""

from __future__ import annotations

from typing import Any, Final

from celery import Celery
from kombu.entity import Exchange, Queue

from workers.queue.redis_server import RedisServer
from workers.settings import Settings, settings

__all__ = [
    "COMPOSE",
    "COMPOSE_TASK",
    "EDIT_TASK",
    "FILES_TASK",
    "INGEST_TASK",
    "LIBRARY",
    "MODEL_EDIT_TASK",
    "RENDER",
    "RENDER_TASK",
    "REQUEST_TASK",
    "SEARCH",
    "SWEEP_TASK",
    "TIDY_TASK",
    "UPKEEP_TASK",
    "app",
    "broker_url",
    "make_app",
]

COMPOSE: Final = "compose"
RENDER: Final = "render"
LIBRARY: Final = "library"
SEARCH: Final = "search"
COMPOSE_TASK: Final = "interleaf.compose"
RENDER_TASK: Final = "interleaf.render"
INGEST_TASK: Final = "interleaf.ingest"
EDIT_TASK: Final = "interleaf.edit"
MODEL_EDIT_TASK: Final = "interleaf.edit_by_model"
FILES_TASK: Final = "interleaf.render_document"
SWEEP_TASK: Final = "interleaf.sweep_library"
REQUEST_TASK: Final = "interleaf.answer_request"
UPKEEP_TASK: Final = "interleaf.upkeep"
TIDY_TASK: Final = "interleaf.tidy"

_CONNECT_TIMEOUT_S: Final = 4
_SOCKET_TIMEOUT_S: Final = 30
_HEALTH_CHECK_S: Final = 25


def broker_url(chosen: Settings) -> str:
    """The broker's address: the one that was named, or that of our own server."""
    return chosen.redis_url or RedisServer(chosen.redis_dir).url


def make_app(chosen: Settings) -> Celery:
    """The app of these settings. Makes no connection."""
    app = Celery("interleaf", broker=broker_url(chosen), set_as_current=False)
    transport: dict[str, Any] = {
        # A message that was taken and not acknowledged for so long goes to another worker. It may be shorter than a
        # job: the second worker asks for the lease, does not get it, and drops the message.
        "visibility_timeout": chosen.visibility_timeout_s,
        # By default every tenth look for such messages is a real one: they came back up to 100 s late.
        "unacked_restore_throttle": 1,
        "unacked_restore_interval": min(10.0, chosen.visibility_timeout_s),
        # A server that was cut off must be noticed, or a worker waits for it for ever.
        "socket_connect_timeout": _CONNECT_TIMEOUT_S,
        "socket_timeout": _SOCKET_TIMEOUT_S,
        "socket_keepalive": True,
        "health_check_interval": _HEALTH_CHECK_S,
        # Who sends wants to know at once that the broker is away; the outbox tries again.
        "max_retries": 1,
        "interval_start": 0.0,
        "interval_step": 0.1,
        "interval_max": 0.2,
    }
    app.conf.update(
        # JSON only: a message is data, never something to be built.
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        # What became of a job stands in our database; Celery's results would be a second truth, and cost 5 commands.
        task_ignore_result=True,
        result_backend=None,
        # A message lives until its task ended, so a worker that is killed gives it back.
        task_acks_late=True,
        # A killed child of a render worker gives its message back at once instead of after the visibility time-out.
        # A message that kills whoever takes it does not go round for ever: claims are counted in the job.
        task_reject_on_worker_lost=True,
        # A task that raised is done with: what is to happen next was written into the job.
        task_acks_on_failure_or_timeout=True,
        # Reserve one message only: a second would wait behind an hour of work while other workers are idle.
        worker_prefetch_multiplier=1,
        broker_transport_options=transport,
        # The docs name three places for it; the shortest that an app on this broker knows wins.
        result_backend_transport_options={"visibility_timeout": chosen.visibility_timeout_s},
        visibility_timeout=chosen.visibility_timeout_s,
        # A broker that is away, at the start or later, is waited for without end.
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=_CONNECT_TIMEOUT_S,
        # The lease, not the broker's connection, says whose the job is: a Redis restart costs no work.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # Runs end by themselves within a node or a token when a worker is stopped; what does not, is given so long.
        worker_soft_shutdown_timeout=30.0,
        worker_enable_soft_shutdown_on_idle=True,
        # The solo pool cannot answer remote control while it works, so nothing may depend on it: see worker_beat.py.
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        task_send_sent_event=False,
        # Time limits do not exist in the solo pool: deadlines are kept by the run itself (watch.py).
        task_queues=[Queue(name, Exchange(name), routing_key=name) for name in (COMPOSE, RENDER, LIBRARY, SEARCH)],
        task_default_queue=COMPOSE,
        task_create_missing_queues=False,
        task_routes={
            COMPOSE_TASK: {"queue": COMPOSE},
            RENDER_TASK: {"queue": RENDER},
            INGEST_TASK: {"queue": LIBRARY},
            EDIT_TASK: {"queue": LIBRARY},
            MODEL_EDIT_TASK: {"queue": COMPOSE},
            FILES_TASK: {"queue": RENDER},
            SWEEP_TASK: {"queue": LIBRARY},
            REQUEST_TASK: {"queue": SEARCH},
        },
        timezone="UTC",
        enable_utc=True,
        # Torch and the encoders are imported by the first task that needs them, never here.
        imports=["workers.queue.tasks"],
        worker_redirect_stdouts=False,
        # The stock scheduler keeps its times in a pickle; ours has nothing to keep, and does the round itself.
        beat_scheduler="workers.queue.beat:HereScheduler",
        beat_schedule={
            "upkeep": {"task": UPKEEP_TASK, "schedule": chosen.upkeep_s},
            "tidy": {"task": TIDY_TASK, "schedule": chosen.tidy_s},
        },
        beat_max_loop_interval=chosen.upkeep_s,
    )
    return app


app = make_app(settings())
"""The app of this process, by its settings: what `celery -A workers.queue.celery_app` finds."""
