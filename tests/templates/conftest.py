"""The studio in which the press's tests draw their pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.templates.sample import Studio


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    folder = tmp_path / "pictures"
    folder.mkdir()
    return Studio(folder)
