"""Batch ends: the service's side of batches whose items have all ended: written down, told, their uploads let go.

Run it every few seconds, in as many processes as you like: of several that see the same end, one tells of it. It is not
done where a job ends, for two that end in the same moment would each see the other at work.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import and_, exists, or_, select

from workers.store.announcements import announce
from workers.store.batch import Batch
from workers.store.batches import counts_of
from workers.store.clock import Clock, utc_now
from workers.store.database import Database
from workers.store.job_transitions import FINAL
from workers.store.kept_uploads import release_uploads, uploads_of_batch
from workers.store.tables import BatchItemRow, BatchRow, JobRow

__all__ = ["BATCH_ENDED", "BatchEnds", "told_of_batch"]

BATCH_ENDED: Final = "batch.ended"
"""The event that whoever listens is told."""

# An item that is still to be ordered, or whose job is under way. What was refused, or whose job was deleted, has ended.
_GOES_ON: Final = or_(
    and_(BatchItemRow.job_id.is_(None), BatchItemRow.error.is_(None), BatchRow.canceled_at.is_(None)),
    exists().where(JobRow.id == BatchItemRow.job_id, JobRow.state.not_in(sorted(FINAL))),
)
_ENDED: Final = (
    select(BatchRow.id)
    .where(
        BatchRow.ended_at.is_(None),
        ~exists().where(BatchItemRow.batch_id == BatchRow.id, _GOES_ON).correlate(BatchRow),
    )
    .order_by(BatchRow.id)
)


class BatchEnds:
    """Every method may raise ServiceAway."""

    def __init__(self, database: Database, *, upload_kept: timedelta, clock: Clock = utc_now) -> None:
        """`upload_kept`: how long an upload stays once nothing names it any more."""
        self._database = database
        self._upload_kept = upload_kept
        self._clock = clock

    def note(self, limit: int = 100) -> int:
        """Write down that batches have ended, at most `limit` of them, with the event batch.ended in the same
        transaction; how many."""
        # Looked for first: a round that finds nothing must not stand in the way of those who write.
        with self._database.reading() as session:
            ids = session.scalars(_ENDED.limit(limit)).all()
        return sum(map(self._note_one, ids))

    def _note_one(self, batch_id: str) -> bool:
        now = self._clock()
        wanted = select(BatchRow).where(BatchRow.id == batch_id, BatchRow.ended_at.is_(None))
        with self._database.transaction() as session:
            row = session.scalars(wanted.with_for_update(skip_locked=True)).one_or_none()
            if row is None:
                return False
            # Asked again while the row is held: it may have been tried again since.
            counts = counts_of(session, [batch_id])[batch_id]
            batch = Batch.of_row(row, counts, {})
            if not batch.ended:
                return False
            row.ended_at = now
            session.flush()
            release_uploads(session, row.owner, uploads_of_batch(session, row), now + self._upload_kept, but=batch_id)
            announce(session, row.owner, BATCH_ENDED, told_of_batch(Batch.of_row(row, counts, {})), now)
        return True


def told_of_batch(batch: Batch) -> dict[str, Any]:
    """What is told of a batch: nothing that GET of the batch does not tell, too."""
    assert batch.ended_at is not None, "it is told when it has ended"
    return {
        "id": batch.id,
        "kind": batch.kind,
        "item_count": batch.item_count,
        "counts": dict(batch.counts),
        "ended_at": batch.ended_at.isoformat(),
        "url": f"/v1/batches/{batch.id}",
        "results_url": f"/v1/batches/{batch.id}/results",
    }
