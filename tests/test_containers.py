"""The image and the compose file: read as strictly as their specifications are written, held against the program, and,
since no container engine runs here, their steps done in a fresh environment and folder."""

from __future__ import annotations

import re
import shlex
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import redis
import typer
import yaml
from compose_spec import PyCompose
from dockerfile_parse import DockerfileParser
from packaging.requirements import Requirement
from packaging.version import Version
from redis.backoff import NoBackoff
from redis.retry import Retry

from interleaf.cli.app import app
from workers.queue.redis_server import server_binary
from workers.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
COMPOSE, GPU = ROOT / "docker-compose.yml", ROOT / "docker-compose.gpu.yml"
OURS = ("api", "compose", "render", "library", "beat")
SECRETS = ("POSTGRES_PASSWORD", "REDIS_PASSWORD")
GIVEN = dict.fromkeys(SECRETS, "6b1f0c")

_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?:(:[-?])([^}]*))?\})")


def rendered(file: Path, given: dict[str, str]) -> dict[str, Any]:
    """The file with its variables, as compose fills them in: in values, after YAML; ValueError when one must be set."""

    def one(found: re.Match[str]) -> str:
        name, mark, rest = found.groups()
        if name is None:
            return "$"
        value = given.get(name, "")
        if not value and mark == ":?":
            raise ValueError(f"{name}: {rest}")
        return value or (rest if mark == ":-" else "")

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [filled(item) for item in value]
        return _VARIABLE.sub(one, value) if isinstance(value, str) else value

    read: dict[str, Any] = filled(yaml.safe_load(file.read_text(encoding="utf-8")))
    return read


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    return rendered(COMPOSE, GIVEN)


@pytest.fixture(scope="module")
def services(whole: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = whole["services"]
    return found


@pytest.mark.parametrize("file", [COMPOSE, GPU], ids=lambda file: file.name)
def test_it_is_a_compose_file_in_which_nothing_is_misspelt(file: Path) -> None:
    said = yaml.safe_dump(rendered(file, GIVEN))
    PyCompose.from_yaml(said).validate()
    for wrong in ("read_onlly", "healthchek"):
        broken = rendered(file, GIVEN)
        next(iter(broken["services"].values()))[wrong] = True
        with pytest.raises(ValueError, match=wrong):
            PyCompose.from_yaml(yaml.safe_dump(broken))


def test_every_part_is_a_service_of_its_own(services: dict[str, Any]) -> None:
    assert set(services) == {*OURS, "redis", "postgres"}
    assert len({services[name]["image"] for name in OURS}) == 1
    assert not any("container_name" in one for one in services.values()), "a name of its own cannot be scaled"


def test_nothing_runs_as_root_or_writes_where_nothing_is_kept(services: dict[str, Any]) -> None:
    for name, one in services.items():
        user, _, group = one["user"].partition(":")
        assert int(user) > 0 and int(group) > 0, name
        assert one["read_only"] is True, name
        assert one["cap_drop"] == ["ALL"], name
        assert one["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices", "userns_mode"} & set(one), name
        assert any(where.split(":")[0] == "/tmp" for where in one["tmpfs"]), name
        for volume in one["volumes"]:
            source, target = volume.split(":")
            assert re.fullmatch(r"[a-z]+", source), f"{name}: a folder of the host"
            assert target in ("/data", "/var/lib/postgresql/data")


def test_only_the_api_is_reached_and_only_from_this_machine(whole: dict[str, Any], services: dict[str, Any]) -> None:
    assert [name for name, one in services.items() if "ports" in one] == ["api"]
    assert services["api"]["ports"] == [{"target": 8000, "published": "8000", "host_ip": "127.0.0.1"}]
    assert [name for name, one in services.items() if "outside" in one["networks"]] == ["api", "beat"]
    assert whole["networks"]["inside"] == {"internal": True}
    several = rendered(COMPOSE, GIVEN | {"API_PORT": "8000-8003"})
    assert several["services"]["api"]["ports"][0]["published"] == "8000-8003"
    PyCompose.from_yaml(yaml.safe_dump(several)).validate()


def test_what_is_kept_lies_in_a_volume(whole: dict[str, Any], services: dict[str, Any]) -> None:
    used = {volume.split(":")[0] for one in services.values() for volume in one["volumes"]}
    assert used == set(whole["volumes"])
    for name in OURS:
        assert services[name]["volumes"] == ["data:/data"], "all of them must see the same files"
        assert services[name]["environment"]["INTERLEAF_HOME"] == "/data"


def test_each_waits_for_what_it_needs_and_is_started_again(services: dict[str, Any]) -> None:
    needs = {name: one.get("depends_on", {}) for name, one in services.items()}
    for name, wanted in needs.items():
        assert all(how["condition"] == "service_healthy" for how in wanted.values()), name
        assert services[name]["restart"] == "unless-stopped"
    assert set(needs["api"]) == {"postgres", "redis"}
    for name in OURS[1:]:
        assert set(needs[name]) == {"api", "postgres", "redis"}, "the API brings the schema up to date"
    assert not needs["postgres"] and not needs["redis"]


def test_each_is_looked_after_and_bounded(services: dict[str, Any]) -> None:
    for name, one in services.items():
        check, limits = one["healthcheck"], one["deploy"]["resources"]["limits"]
        assert _seconds(check["timeout"]) <= _seconds(check["interval"]), name
        assert check["retries"] >= 3, "one late answer is no reason for a restart"
        assert {"cpus", "memory", "pids"} <= set(limits), name
        assert one["init"] is True, name


def _seconds(said: str) -> float:
    number, unit = re.fullmatch(r"(\d+)([sm])", said).groups()  # type: ignore[union-attr]
    return float(number) * {"s": 1, "m": 60}[unit]


def parsed(command: list[str]) -> str:
    """The name of the command that the arguments reach, each value checked. click's errors say what it does not take.
    Nothing of the command is run."""
    at: Any = typer.main.get_command(app)
    context = at.make_context("interleaf", list(command))
    while hasattr(at, "resolve_command"):
        name, at, rest = at.resolve_command(context, [*context._protected_args, *context.args])
        context = at.make_context(name, rest, parent=context)
    return str(context.command_path)


@pytest.mark.parametrize("name", OURS)
def test_the_program_takes_every_command(services: dict[str, Any], name: str) -> None:
    one = services[name]
    assert parsed(one["command"]) == "interleaf serve"
    how, program, *check = one["healthcheck"]["test"]
    assert (how, program) == ("CMD", "interleaf")
    assert parsed(check) == "interleaf health"
    assert one["command"][1] == check[1] == name
    with pytest.raises(Exception, match="nonsense"):
        parsed([one["command"][0], "nonsense"])
    with pytest.raises(Exception, match="--nonsense"):
        parsed([*one["command"], "--nonsense"])


def test_the_api_listens_where_its_port_leads(services: dict[str, Any]) -> None:
    api = services["api"]
    port = api["command"][api["command"].index("--port") + 1]
    assert api["ports"][0]["target"] == int(port)
    assert api["healthcheck"]["test"][-1] == port
    assert api["command"][api["command"].index("--host") + 1] == "0.0.0.0"


def test_every_setting_exists() -> None:
    known = {f"INTERLEAF_{name.upper()}" for name in Settings.model_fields}
    for file in (COMPOSE, GPU, ROOT / "Dockerfile"):
        named = set(re.findall(r"\bINTERLEAF_[A-Z_]*[A-Z]", file.read_text(encoding="utf-8")))
        assert named and named <= known, file.name


def test_the_addresses_are_ones_that_the_settings_take(services: dict[str, Any]) -> None:
    from workers.store.database import Database

    given = services["compose"]["environment"]
    database = Database(given["INTERLEAF_DATABASE_URL"])
    assert database.kind == "postgresql"
    assert GIVEN["POSTGRES_PASSWORD"] not in database.shown_url
    client = redis.Redis.from_url(given["INTERLEAF_REDIS_URL"])
    arguments = client.connection_pool.connection_kwargs
    assert (arguments["host"], arguments["password"]) == ("redis", GIVEN["REDIS_PASSWORD"])


@pytest.mark.parametrize("name", SECRETS)
def test_there_is_no_password_that_everybody_knows(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: write it into .env"):
        rendered(COMPOSE, {key: value for key, value in GIVEN.items() if key != name})


def test_the_example_names_every_variable_of_the_compose_file() -> None:
    named = {found[1] for found in _VARIABLE.finditer(COMPOSE.read_text(encoding="utf-8")) if found[1]}
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert named and named <= set(re.findall(r"^# ([A-Z_]+)=", example, re.M))


# The broker


@contextmanager
def broker(command: list[str], folder: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """The broker's command of the compose file with the real server, its folders moved into `folder`."""
    programs = folder / "bin"
    programs.mkdir()
    (folder / "data").mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shim = programs / "valkey-server"
    shim.write_text(f'#!/bin/sh\nexec {shlex.quote(str(server_binary()))} "$@" --bind 127.0.0.1 --port {port}\n')
    shim.chmod(0o755)
    moved = [re.sub(r"(?<![\w.])/(tmp|data)\b", lambda found: f"{folder}/{found[1]}", part) for part in command]
    (folder / "tmp").mkdir()
    process = subprocess.Popen(
        moved,
        env={"PATH": f"{programs}:/usr/bin:/bin", "REDIS_PASSWORD": GIVEN["REDIS_PASSWORD"]},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield port, process
    finally:
        process.terminate()
        process.wait(20)


def test_the_broker_wants_its_password_keeps_its_file_and_drops_nothing(
    services: dict[str, Any], tmp_path: Path
) -> None:
    with broker(services["redis"]["command"], tmp_path) as (port, process):
        once = Retry(NoBackoff(), 0)
        client = redis.Redis(port=port, password=GIVEN["REDIS_PASSWORD"], retry=once)
        deadline = time.monotonic() + 20
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                assert time.monotonic() < deadline and process.poll() is None
                time.sleep(0.02)
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=port, retry=once).ping()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=port, password="wrong", retry=once).ping()
        assert client.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        assert client.config_get("appendonly")["appendonly"] == "yes"
        assert int(client.config_get("maxmemory")["maxmemory"]) == 256 * 2**20
        client.set("kept", "1")
        # `sh` became the server, so that it is the one that is told to stop; its password is in no command line.
        seen = Path(f"/proc/{process.pid}/cmdline")
        if seen.exists():
            assert b"valkey-server" in seen.read_bytes()
            assert GIVEN["REDIS_PASSWORD"].encode() not in seen.read_bytes()
        assert (tmp_path / "tmp" / "password.conf").stat().st_mode & 0o077 == 0
    assert (tmp_path / "data" / "appendonlydir").is_dir()


# The image


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    parser = DockerfileParser(path=str(tmp_path_factory.mktemp("dockerfile")))
    parser.content = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    found = [one for one in parser.structure if one["instruction"] != "COMMENT"]
    known = {"FROM", "ARG", "ENV", "RUN", "COPY", "WORKDIR", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT"}
    assert {one["instruction"] for one in found} <= known | {"CMD"}
    return found


def stage(image: list[dict[str, Any]], number: int) -> list[tuple[str, str]]:
    """Instructions of the stage of that number, with their values."""
    begins = [at for at, one in enumerate(image) if one["instruction"] == "FROM"] + [len(image)]
    return [(one["instruction"], one["value"]) for one in image[begins[number] : begins[number + 1]]]


def test_the_image_ends_without_root_and_without_what_builds(image: list[dict[str, Any]]) -> None:
    final = stage(image, 1)
    (user,) = [value for name, value in final if name == "USER"]
    assert user == "10001:10001"
    assert [name for name, _ in final].index("USER") > max(at for at, one in enumerate(final) if one[0] == "RUN")
    assert [value for name, value in final if name == "COPY"] == ["--from=build /opt/interleaf /opt/interleaf"]
    assert not [value for name, value in final if name == "RUN" and "pip" in value]
    assert ("ENTRYPOINT", '["interleaf"]') in final
    assert ("VOLUME", "/data") in final
    # Nothing secret may lie in a layer.
    assert [value.split("=")[0] for name, value in stage(image, 0) if name == "ARG"] == ["PIP_EXTRA_INDEX_URL"]


def test_both_stages_have_the_same_python_and_it_is_one_of_ours(image: list[dict[str, Any]]) -> None:
    bases = {one["value"].split(" ")[0] for one in image if one["instruction"] == "FROM"}
    (base,) = bases
    found = re.fullmatch(r"python:(\d+\.\d+)-slim-bookworm", base)
    assert found is not None
    wanted = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert wanted is not None and Version(found[1]) >= Version(wanted[1])


def test_the_system_library_that_a_wheel_asks_for_is_installed(image: list[dict[str, Any]]) -> None:
    """Of all libraries that our wheels load, OpenMP for lightgbm is the one that neither they nor the base bring."""
    if shutil.which("ldd") is None:
        pytest.skip("no ldd here")
    library = Path(sysconfig.get_path("purelib")) / "lightgbm" / "lib" / "lib_lightgbm.so"
    said = subprocess.run(["ldd", str(library)], capture_output=True, text=True, check=True).stdout
    assert "libgomp.so.1 => " in said
    runs = [value for name, value in stage(image, 1) if name == "RUN"]
    assert any(re.search(r"apt-get install .*\blibgomp1\b", value) for value in runs)


def test_every_command_for_the_shell_is_one(image: list[dict[str, Any]]) -> None:
    for number in (0, 1):
        for name, value in stage(image, number):
            if name == "RUN":
                subprocess.run(["sh", "-n", "-c", value], check=True)


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out: the last line that fits it, or a folder above it, decides."""
    folders = [PurePosixPath(path), *PurePosixPath(path).parents][:-1]
    out = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            if pattern.startswith("**/"):
                fits = any(one.match(pattern.removeprefix("**/")) for one in folders)
            else:
                assert pattern == "*" or "*" not in pattern, "this test reads no other patterns"
                fits = pattern == "*" or PurePosixPath(pattern) in folders
            if fits:
                out = not line.startswith("!")
    return out


def test_what_is_copied_is_there_and_nothing_else_is_sent(image: list[dict[str, Any]]) -> None:
    sources = [part for name, value in stage(image, 0) if name == "COPY" for part in value.split()[:-1]]
    for source in sources:
        assert (ROOT / source).exists() and not ignored(source), source
    hook = (ROOT / "hatch_build.py").read_text(encoding="utf-8")
    (folders,) = re.findall(r"FOLDERS = \((.*?)\)", hook)
    assert set(re.findall(r'"(\w+)"', folders)) <= set(sources), "a folder of the wheel is not copied"
    for secret in (".env", ".git/config", "tests/conftest.py", ".venv/pyvenv.cfg", "sdk/interleaf/__pycache__/x.pyc"):
        assert ignored(secret), secret
    assert not ignored("workers/store/tables.py")


def test_the_lock_holds_what_the_image_installs() -> None:
    """Each requirement is met by the lock's version. The extras for a cluster are resolved when the image is built."""
    lock = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "requirements.lock").read_text(encoding="utf-8"), re.M))
    pins = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in lock.items()}
    said = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "requirements.py"), "service", "postgres", "s3"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    unpinned = set()
    for line in said.splitlines():
        requirement = Requirement(line)
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name in pins:
            assert requirement.specifier.contains(pins[name], prereleases=True), line
        else:
            unpinned.add(name)
    assert unpinned <= {"langgraph-checkpoint-postgres", "s3fs"}
    unknown = [sys.executable, str(ROOT / "scripts" / "requirements.py"), "nonsense"]
    assert "no extra nonsense" in subprocess.run(unknown, capture_output=True, text=True).stderr


@pytest.mark.slow
def test_its_steps_make_a_program_that_runs(
    image: list[dict[str, Any]], services: dict[str, Any], tmp_path: Path
) -> None:
    """The steps of the build stage, in order, in a folder that holds what they copied, with libraries that are lent
    from here in place of a download: pip finds each of them there and holds it against the lock."""
    source, opt, aside = tmp_path / "src", tmp_path / "opt", tmp_path / "tmp"
    for folder in (source, opt, aside):
        folder.mkdir()
    lent = lent_libraries(tmp_path / "lent")
    base = environment(tmp_path / "base", lent)
    env = {
        "PATH": f"{base / 'bin'}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    for name, value in stage(image, 0):
        if name == "COPY":
            copy(value.split(), source)
        elif name == "RUN":
            command = re.sub(r"(?<![\w.])/(opt|tmp)/", lambda found: f"{tmp_path}/{found[1]}/", value)
            done = subprocess.run(["sh", "-ec", command], cwd=source, env=env, capture_output=True, text=True)
            assert done.returncode == 0, f"{value}\n{done.stdout}\n{done.stderr}"
            if value.startswith("python -m venv"):
                lend(opt / "interleaf", lent)
            wanted = aside / "requirements.txt"
            if "requirements.py" in value:
                here = {one.name.split("-")[0].replace("_", "-").lower() for one in lent.glob("*.dist-info")}
                kept = [line for line in wanted.read_text().splitlines() if Requirement(line).name.lower() in here]
                assert len(kept) > 40
                wanted.write_text("\n".join(kept))
    program = opt / "interleaf" / "bin" / "interleaf"
    clean = {"PATH": f"{program.parent}:/usr/bin:/bin", "HOME": str(aside), "INTERLEAF_HOME": str(tmp_path / "data")}
    where = "import interleaf, sys; from interleaf import approot; sys.stdout.write(str(approot.enter()))"
    said = subprocess.run(
        [str(program.with_name("python")), "-c", where], cwd=tmp_path, env=clean, capture_output=True, text=True
    )
    assert said.stdout.startswith(str(opt)), said.stderr
    # The API as its container runs it, but on SQLite, and asked as its health check asks.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command, check = (
        [port if part == "8000" else part for part in parts]
        for parts in (services["api"]["command"], services["api"]["healthcheck"]["test"][2:])
    )
    api = subprocess.Popen([str(program), *command], cwd=tmp_path, env=clean, stdout=subprocess.PIPE, text=True)
    try:
        assert api.stdout is not None
        assert re.fullmatch(r"api key: ilk_[\w-]{43}\n", api.stdout.readline())
        assert api.stdout.readline().startswith("ready: ")
        asked = subprocess.run([str(program), *check], cwd=tmp_path, env=clean, capture_output=True, text=True)
        assert asked.returncode == 0, asked.stderr
        dead = subprocess.run(
            [str(program), *services["compose"]["healthcheck"]["test"][2:]],
            cwd=tmp_path,
            env=clean,
            capture_output=True,
        )
        assert dead.returncode == 1, "there is no compose worker"
    finally:
        api.terminate()
        assert api.wait(30) == 0
    asked = subprocess.run([str(program), *check], cwd=tmp_path, env=clean, capture_output=True, text=True)
    assert asked.returncode == 1


def lent_libraries(folder: Path) -> Path:
    """Everything that is installed here but interleaf itself."""
    folder.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "interleaf" not in entry.name and entry.suffix != ".pth":
            (folder / entry.name).symlink_to(entry)
    return folder


def environment(folder: Path, lent: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    lend(folder, lent)
    return folder


def lend(environment: Path, lent: Path) -> None:
    (site,) = environment.glob("lib/python*/site-packages")
    (site / "distutils-precedence.pth").unlink(missing_ok=True)
    for old in [*site.glob("setuptools*"), *site.glob("pkg_resources"), *site.glob("_distutils_hack")]:
        shutil.rmtree(old)  # with an index, pip would bring the lock's in its place
    (site / "lent.pth").write_text(f"{lent}\n", encoding="utf-8")


def copy(parts: list[str], into: Path) -> None:
    """COPY: files into a folder, a folder's content into a folder, without what is kept out."""
    *sources, target = parts
    for source in sources:
        here = ROOT / source
        files = [here] if here.is_file() else [one for one in here.rglob("*") if one.is_file()]
        for file in files:
            inside = file.relative_to(ROOT).as_posix()
            if not ignored(inside):
                there = into / target / (file.name if here.is_file() else str(file.relative_to(here)))
                there.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, there)
