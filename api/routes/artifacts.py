"""Artifacts: files that jobs made, whole or in part; always to be saved, never to be shown in our name."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request, Response

from api.door import Reader, TheDoor
from api.file_answer import FILE_ANSWERS, Asked, SentFile, file_answer

__all__ = ["router"]

router = APIRouter(prefix="/v1/artifacts", tags=["artifacts"])


@router.get(
    "/{artifact_id}",
    response_class=Response,
    operation_id="getArtifact",
    summary="Fetch a file",
    responses=FILE_ANSWERS,
)
async def get_artifact(request: Request, artifact_id: str, door: TheDoor, key: Reader, asked: Asked) -> Response:
    """With ETag (the hash of its bytes), Range and If-Range."""
    artifact = await door.threads.run(door.pieces.artifact, artifact_id, key.id)
    file = SentFile(
        artifact.document_id or artifact.id,
        artifact.media_type,
        artifact.bytes,
        artifact.sha256,
        partial(door.store.read, artifact.file_key),
    )
    return await file_answer(request, door.threads, file, asked)
