"""docs/operations.md's claims: its commands, settings, metrics and services exist, and its backups can be restored."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import make_url, text

from api.meter import Metrics
from tests.test_containers import parsed
from tests.workers.conftest import new_postgres, postgres_template
from tests.workers.job_store import Store, assert_whole
from workers.settings import Settings
from workers.store.database import Database

__all__ = ["new_postgres", "postgres_template"]

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
LINES = [
    line.removeprefix("$ ") for block in re.findall(r"```console\n(.*?)```", PAGE, re.S) for line in block.splitlines()
]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
# What `docker compose` itself knows is not checked here; these words of a command take the next one with them.
TAKING = {"-f", "--scale", "--volume", "--entrypoint"}


def marked(name: str) -> list[str]:
    """The commands under a mark of the page."""
    found = re.search(rf"<!-- {name} -->\n```console\n(.*?)```", PAGE, re.S)
    assert found is not None, name
    return [line.removeprefix("$ ") for line in found[1].splitlines()]


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("interleaf ")])
def test_the_program_takes_every_command(line: str) -> None:
    assert parsed(shlex.split(line)[1:]).startswith("interleaf ")


def test_commands_in_the_text_are_taken_too() -> None:
    found = re.findall(r"`(interleaf [a-z][^`]*)`", PAGE)
    assert len(found) >= 2
    for line in found:
        parsed(shlex.split(line.replace("ROLE", "compose"))[1:])


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("docker compose ")])
def test_compose_commands_name_services_and_files_that_exist(line: str) -> None:
    words = shlex.split(line.partition(" > ")[0].partition(" < ")[0])[2:]
    plain: list[str] = []
    while words:
        word = words.pop(0)
        if word in TAKING:
            value = words.pop(0)
            assert word != "-f" or (ROOT / value).is_file(), value
            assert word != "--scale" or value.partition("=")[0] in SERVICES, value
        elif not word.startswith("-"):
            plain.append(word)
            if plain[0] in ("exec", "run") and len(plain) == 2:
                break  # what follows is for the container
    action, *named = plain
    assert action in ("build", "up", "logs", "run", "stop", "start", "exec")
    assert set(named) <= set(SERVICES), line
    if action == "run" and "--entrypoint" not in line:
        assert parsed(words).startswith("interleaf ")


def test_settings_metrics_folders_and_links_exist() -> None:
    known = {f"INTERLEAF_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"INTERLEAF_[A-Z_]*[A-Z]", PAGE)) <= known
    offered = {metric.name for metric in Metrics().registry.collect()}
    named = {name.removesuffix("_total") for name in re.findall(r"`(interleaf_\w+)", PAGE)}
    assert named == offered, "every metric is explained, and no other"
    for variable in ("API_PORT", "IMAGE_TAG", "PIP_EXTRA_INDEX_URL", "POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        assert f"`{variable}" in PAGE and f"# {variable}=" in (ROOT / ".env.example").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (ROOT / "docs" / link).exists(), link
    settings = Settings(home=Path("/x"))
    for folder in (settings.libraries_dir, settings.runs_dir, settings.models_dir, settings.adapters_dir):
        assert f"`{folder.name}/`" in PAGE


def filled(store: Store) -> int:
    """Jobs in several states."""
    store.create()
    store.claimed()
    store.asked()
    store.leases.finish(store.claimed(), "canceled")
    return assert_whole(store.database)


def ruined(database: Database) -> None:
    with database.transaction() as session:
        session.execute(text("DELETE FROM job_events"))
        session.execute(text("UPDATE jobs SET message = 'ruined'"))


def test_sqlite_is_backed_up_while_it_is_written_and_comes_back(tmp_path: Path) -> None:
    data, backup = tmp_path / "srv", tmp_path / "backup"
    for folder in (data, backup):
        folder.mkdir()
    store = Store(f"sqlite:///{data / 'jobs.sqlite'}")
    store.database.upgrade()
    count = filled(store)
    assert (data / "jobs.sqlite-wal").stat().st_size > 0, "the newest commits are not in the file itself"

    def run(command: str) -> None:
        here = command.replace("/srv/interleaf", str(data)).replace("/backup", str(backup))
        program, *rest = shlex.split(here)
        done = subprocess.run([sys.executable if program == "python3" else program, *rest], capture_output=True)
        assert done.returncode == 0, done.stderr

    with store.database.reading():  # somebody has it open
        for command in marked("sqlite backup"):
            run(command)
    ruined(store.database)
    store.database.close()
    for command in marked("sqlite restore"):
        run(command)
    again = Database(store.url)
    again.require_schema()
    assert assert_whole(again) == count
    again.close()


def test_postgres_is_backed_up_and_comes_back(
    new_postgres: Callable[[str | None], str], postgres_template: str, tmp_path: Path
) -> None:
    pgserver = pytest.importorskip("pgserver")
    programs = Path(pgserver.__file__).parent / "pginstall" / "bin"
    url = new_postgres(postgres_template)
    store = Store(url)
    count = filled(store)
    dump = tmp_path / "jobs.dump"

    def run(command: str) -> None:
        """The command that the container runs, with this server's address in place of the container's own."""
        inside = re.split(r" [<>] ", command.removeprefix("docker compose exec --no-TTY postgres "))[0]
        program, *rest = shlex.split(inside)
        here = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        at = rest.index("--username")
        arguments = [here if word == "interleaf" else word for word in (*rest[:at], *rest[at + 2 :])]
        given, out = (dump.read_bytes(), None) if " < " in command else (None, dump)
        done = subprocess.run([str(programs / program), *arguments], input=given, capture_output=True)
        assert done.returncode == 0, done.stderr
        if out is not None:
            out.write_bytes(done.stdout)

    (backup,), (restore,) = marked("postgres backup"), marked("postgres restore")
    run(backup)
    ruined(store.database)
    run(restore)
    store.database.require_schema()
    assert assert_whole(store.database) == count
    store.database.close()
