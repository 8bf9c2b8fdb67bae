"""Settings: errors name the key; .env.example lists every setting with its default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from interleaf.errors import SettingInvalid
from workers.settings import Settings, settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def fresh() -> None:
    settings.cache_clear()
    yield
    settings.cache_clear()


def test_a_wrong_setting_names_key_value_and_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLEAF_THREADS", "many")
    with pytest.raises(SettingInvalid) as caught:
        settings()
    assert "INTERLEAF_THREADS" in caught.value.message
    assert "many" in caught.value.message
    assert ".env.example" in caught.value.message


def test_the_example_lists_every_setting_with_its_default() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^# (INTERLEAF_\w+)=(.*)$", text, re.M))
    fields = Settings.model_fields
    assert set(listed) == {f"INTERLEAF_{name.upper()}" for name in fields}
    for name, field in fields.items():
        if field.default_factory is None:
            value = field.default
            written = str(value).lower() if isinstance(value, bool) else str(value)
            assert listed[f"INTERLEAF_{name.upper()}"] == written


def test_home_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTERLEAF_HOME", "data")
    assert settings().library_dir == tmp_path / "data" / "library"
