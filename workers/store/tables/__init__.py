"""Tables: what the job store writes down, as SQLAlchemy rows; workers/store/migrations makes the same in a database.

Rows stay inside workers/: what leaves is a frozen value. A change here needs a new revision in migrations/versions,
and tests/workers/store/test_migrations.py holds the two against one another.
"""

from workers.store.tables.batch import BatchItemRow, BatchRow
from workers.store.tables.job import JobBriefRow, JobEventRow, JobRow, WorkerBeatRow
from workers.store.tables.key import ApiKeyRow, IdempotencyRow
from workers.store.tables.ledger import LedgerRow
from workers.store.tables.library import LibraryRequestRow, LibraryRow
from workers.store.tables.piece import ArtifactRow, DocumentFileRow, DocumentRow, DocumentVersionRow, UploadRow
from workers.store.tables.row import Row, UtcTime
from workers.store.tables.schedule import ScheduleRow, ScheduleRunRow
from workers.store.tables.webhook import DeliveryAttemptRow, DeliveryRow, WebhookRow

__all__ = [
    "ApiKeyRow",
    "ArtifactRow",
    "BatchItemRow",
    "BatchRow",
    "DeliveryAttemptRow",
    "DeliveryRow",
    "DocumentFileRow",
    "DocumentRow",
    "DocumentVersionRow",
    "IdempotencyRow",
    "JobBriefRow",
    "JobEventRow",
    "JobRow",
    "LedgerRow",
    "LibraryRequestRow",
    "LibraryRow",
    "Row",
    "ScheduleRow",
    "ScheduleRunRow",
    "UploadRow",
    "UtcTime",
    "WebhookRow",
    "WorkerBeatRow",
]
