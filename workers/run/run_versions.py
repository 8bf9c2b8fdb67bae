"""Run versions: the versions of a piece that is edited in its run folder, without a service.

runs/<run id>/
    article.json      version 1, as it was composed
    versions/2.json   what the first edit made of it, how, and when; 3.json, and so on: none is ever taken away
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, Literal

from filelock import FileLock, Timeout
from pydantic import ValidationError

from agents.editing.history import Step
from interleaf.errors import EditRefused, ObjectUnknown, RunBusy, RunUnknown, VersionStale
from interleaf.schema import Article
from interleaf.schema.word import Word
from interleaf.whole_file import write_whole
from workers.run.run_folder import RunFolder

__all__ = ["RunVersion", "RunVersions"]

LOCK_S: Final = 10.0
_NAME: Final = re.compile(r"([1-9][0-9]{0,8})\.json")


class RunVersion(Word):
    """One version, as its file holds it."""

    version: int
    how: Literal["made", "edit", "restore", "undo", "redo"] = "made"
    same_as: int | None = None
    edit: dict[str, Any] | None = None
    created_at: datetime
    article: Article


class RunVersions:
    """The versions of one finished run. Several processes may write: of two that edit the same version one is told
    (VersionStale)."""

    def __init__(self, folder: RunFolder) -> None:
        """RunUnknown when there is no such run, or it has not come to a piece."""
        folder.require()
        if not folder.article_path.is_file():
            raise RunUnknown(folder.run_id, "has not come to a piece yet.", "Go on with: interleaf compose --resume")
        self._folder = folder
        self._place = folder.path / "versions"

    def newest(self) -> RunVersion:
        """The version that an edit changes."""
        return self.read(max(self._numbers()))

    def read(self, version: int) -> RunVersion:
        """ObjectUnknown when there is no such version; EditRefused when its file is none that is known here."""
        path = self._folder.article_path if version == 1 else self._place / f"{version}.json"
        try:
            data = path.read_bytes()
            if version == 1:
                at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                return RunVersion(version=1, created_at=at, article=Article.model_validate_json(data))
            return RunVersion.model_validate_json(data)
        except FileNotFoundError as error:
            known = max(self._numbers())
            raise ObjectUnknown(f"version {version}", "is not there.", f"The newest is {known}.") from error
        except ValidationError as error:
            wrong = "is written in a way that this version does not know."
            raise EditRefused(f"version {version}", wrong, "Compose it anew, or upgrade interleaf.") from error

    def all(self) -> list[RunVersion]:
        """Every version, the first one first."""
        return [self.read(number) for number in self._numbers()]

    def write(
        self,
        expected: int,
        how: Literal["edit", "restore", "undo", "redo"],
        content: Callable[[list[Step]], tuple[Article, int | None]],
        edit: Mapping[str, Any] | None = None,
    ) -> RunVersion:
        """Write the version after `expected`. `content(steps)` gives it, and which version it repeats. VersionStale."""
        with self._alone():
            newest = max(self._numbers())
            if newest != expected:
                raise VersionStale(
                    self._folder.run_id,
                    f"was edited meanwhile: it is at version {newest}, not {expected}.",
                    "Read it, and edit that one.",
                )
            article, same_as = content([Step(one.version, one.how) for one in self.all()])
            made = RunVersion(
                version=expected + 1,
                how=how,
                same_as=same_as,
                edit=None if edit is None else dict(edit),
                created_at=datetime.now(UTC),
                article=article,
            )
            write_whole(self._place / f"{made.version}.json", (made.model_dump_json(indent=1) + "\n").encode())
        return made

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = FileLock(self._folder.path / "versions.lock", timeout=LOCK_S)
        try:
            lock.acquire()
        except Timeout as error:
            raise RunBusy(self._folder.run_id, "is being edited.", "Try again in a moment.") from error
        try:
            yield
        finally:
            lock.release()

    def _numbers(self) -> list[int]:
        found = [1]
        if self._place.is_dir():
            names = (_NAME.fullmatch(path.name) for path in self._place.iterdir())
            found += [int(name[1]) for name in names if name is not None]
        return sorted(found)
