"""Benchmark: orders and looks of the service against a bare FastAPI route with one database insert.

    python -m benchmarks.service [--database sqlite|postgres] [--rounds 8] [--seconds 1.5] [--clients 1,8,32]

Both servers are processes of their own and run all the time, with the same server settings (api/server.py: uvicorn, no
access log, limits on headers) and each with a database of its own of the same kind and in the same mode: SQLite with
WAL and a sync at every commit, or PostgreSQL with its defaults. A third process sends; it alternates between the two in
short rounds, and ratios are taken round by round. Beside the ratio of what was answered in a second stands that of the
servers' own processor time, which a busy machine disturbs less. What is compared:

- submit: POST of the same brief. Bare: a route that takes JSON, inserts one row with it and answers an id. Ours: the
  whole way of `POST /v1/jobs`: key, rate, limits, brief, quotas, job with its first event, the message to the broker
  (our own Redis; no worker takes them). Once as it comes and once with an Idempotency-Key, as our client sends it.
- poll: GET of one job. Bare: one row by its primary key. Ours: `GET /v1/jobs/{id}`.

Leans against us: bare validates nothing, limits nothing, knows no key and tells no queue. Leans in ours: on SQLite bare
waits for the disk at each insert, ours for several at once. Goal: at least 0.5 of bare's throughput.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Final

import uvicorn
from fastapi import Body, FastAPI, HTTPException
from sqlalchemy import JSON, String, create_engine, event, make_url, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from api import server as settings_of
from api.app import prepare
from workers.settings import environment_with
from workers.store.database import Database
from workers.store.ids import new_id

ROOT: Final = Path(__file__).resolve().parent.parent
GOAL_RATIO: Final = 0.5
NOTE: Final = (
    "# Tides\n\nThe sea rises and falls twice a day because the moon pulls the water. Spring tides come at new moon "
    "and at full moon; neap tides in between.\n\n## Mills\n\nA tide mill keeps water behind a dam at high tide. The "
    "water turns the wheel when the sea has fallen, and the miller sleeps when the moon says so.\n\n## Harbours\n\n"
    "Ships wait for high tide before they enter a shallow harbour. Locks keep the water in the basin.\n"
)
BRIEF: Final = {
    "instruction": "How tides work, for people who live by the sea",
    "sources": [{"text": NOTE, "name": "tides.md"}],
    "length_words": 500,
    "formats": ["html"],
}
# A name for every request, in the place of which the sender writes a new one of the same length.
NAME_PLACE: Final = b"N" * 32


# The servers


class BareTable(DeclarativeBase):
    """What a plain service keeps."""


class BareRow(BareTable):
    """A job, and what it was asked."""

    __tablename__ = "jobs"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    state: Mapped[str] = mapped_column(String(20))
    brief: Mapped[dict[str, Any]] = mapped_column(JSON)


def serve_bare(url: str, listening: socket.socket) -> None:
    """A route with one insert and a route with one select, as one would write them first."""
    engine = create_engine(url, pool_size=15, max_overflow=30)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def prepare(connection: Any, _record: object) -> None:
            for pragma in ("busy_timeout = 30000", "journal_mode = WAL", "synchronous = FULL"):
                connection.execute(f"PRAGMA {pragma}")

    BareTable.metadata.create_all(engine)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/v1/jobs", status_code=202)
    def create(brief: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
        job_id = new_id("job", datetime.now(UTC))
        with Session(engine) as session:
            session.add(BareRow(id=job_id, state="queued", brief=brief))
            session.commit()
        return {"id": job_id, "state": "queued"}

    @app.get("/v1/jobs/{job_id}")
    def look(job_id: str) -> dict[str, Any]:
        with Session(engine) as session:
            row = session.get(BareRow, job_id)
            if row is None:
                raise HTTPException(404)
            return {"id": row.id, "state": row.state}

    uvicorn.Server(
        uvicorn.Config(
            app,
            http="h11",
            h11_max_incomplete_event_size=settings_of.MAX_HEADER_BYTES,
            limit_concurrency=settings_of.MAX_CONNECTIONS,
            timeout_keep_alive=settings_of.KEEP_ALIVE_S,
            ws="none",
            server_header=False,
            proxy_headers=False,
            access_log=False,
            log_config=None,
        )
    ).run(sockets=[listening])


# The sender


class Sender(asyncio.Protocol):
    """One client: sends a request, waits for the whole answer, sends the next."""

    def __init__(self, request: bytes, until: float, wanted: bytes) -> None:
        self._request, self._until, self._wanted = request, until, wanted
        self._place = request.find(NAME_PLACE)
        self.seconds: list[float] = []
        self.first = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._left = b""
        self._begun = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        request = self._request
        if self._place >= 0:
            name = os.urandom(16).hex().encode()
            request = request[: self._place] + name + request[self._place + len(name) :]
        self._begun = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._left += data
        head, found, body = self._left.partition(b"\r\n\r\n")
        if not found:
            return
        size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        if len(body) < size:
            return
        now = time.perf_counter()
        if not head.startswith(b"HTTP/1.1 " + self._wanted):
            self.done.set_exception(RuntimeError(self._left.decode("utf-8", "replace")[:2000]))
            self._transport.close()
            return
        self.seconds.append(now - self._begun)
        self.first = self.first or body
        self._left = b""
        if now >= self._until:
            self._transport.close()
            self.done.set_result(None)
        else:
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError(f"the server closed the connection: {error}"))


async def _sent(order: dict[str, Any]) -> dict[str, Any]:
    loop, begun = asyncio.get_running_loop(), time.perf_counter()
    request = order["request"].encode()
    senders = []
    for _ in range(order["clients"]):
        _, sender = await loop.create_connection(
            lambda: Sender(request, begun + order["seconds"], order["wanted"].encode()), "127.0.0.1", order["port"]
        )
        senders.append(sender)
    for sender in senders:
        await sender.done
    took = time.perf_counter() - begun
    seconds = sorted(second for sender in senders for second in sender.seconds)
    return {
        "count": len(seconds),
        "per_s": len(seconds) / took,
        "p50_ms": 1e3 * seconds[len(seconds) // 2],
        "p95_ms": 1e3 * seconds[int(len(seconds) * 0.95)],
        "first": senders[0].first.decode(),
    }


def send() -> None:
    """Take orders, a line of JSON each, and answer each with a line."""
    for line in sys.stdin:
        print(json.dumps(asyncio.run(_sent(json.loads(line)))), flush=True)


# The comparison


@dataclass(frozen=True)
class Target:
    """A server that runs."""

    name: str
    port: int
    pid: int
    headers: str

    def cpu_s(self) -> float:
        """Processor time of its process so far; not a number where the system does not tell it so."""
        try:
            said = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return float("nan")
        return (int(said[11]) + int(said[12])) / os.sysconf("SC_CLK_TCK")

    def request(self, method: str, path: str, body: bytes = b"", named: bool = False) -> str:
        """A whole request."""
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{self.headers}"
        if named:
            head += f"Idempotency-Key: {NAME_PLACE.decode()}\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return head + "\r\n" + body.decode()


@contextmanager
def started(
    mode: str, command: list[str], env: dict[str, str], folder: Path
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A server in a process of its own, and its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(512)
        with (folder / f"{mode}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command, str(listening.fileno())],
                cwd=ROOT,
                env=environment_with(env, python_path=[str(ROOT), str(ROOT / "sdk")]),
                pass_fds=(listening.fileno(),),
                stdout=log,
                stderr=log,
            )
        port = listening.getsockname()[1]
    try:
        yield port, process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        said = (folder / f"{mode}.log").read_text(errors="replace")
        if "Traceback" in said or "WARNING" in said:
            print(f"--- {mode} said:\n{said[-3000:]}", file=sys.stderr)


@contextmanager
def databases(kind: str, folder: Path) -> Iterator[dict[str, str]]:
    """A database for each server."""
    names = ("bare", "ours")
    if kind == "sqlite":
        yield {name: f"sqlite:///{folder / name}.sqlite" for name in names}
        return
    import pgserver

    server = pgserver.get_server(folder / "postgres", cleanup_mode="stop")
    try:
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for name in names:
                connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        yield {name: url.set(database=name).render_as_string(hide_password=False) for name in names}
    finally:
        server.cleanup()


def compared(options: argparse.Namespace, folder: Path) -> None:
    from workers.queue.redis_server import RedisServer

    home = folder / "home"
    home.mkdir()
    with ExitStack() as stack:
        urls = stack.enter_context(databases(options.database, folder))
        broker = stack.enter_context(RedisServer(home / "redis", max_memory_mb=1024, tied=True))
        env = {
            "INTERLEAF_HOME": str(home),
            "INTERLEAF_DATABASE_URL": urls["ours"],
            "INTERLEAF_REDIS_URL": broker.url,
            # What is measured is the way of an order, not the limits at which it would be refused.
            "INTERLEAF_KEY_REQUESTS_PER_MINUTE": "1000000",
            "INTERLEAF_KEY_ACTIVE_JOBS": "100000000",
            "INTERLEAF_MAX_QUEUED_JOBS": "100000000",
        }
        database = Database(urls["ours"])
        key = prepare(database)
        database.close()
        bare_command = ["benchmarks.service", "bare", urls["bare"]]
        bare_port, bare_process = stack.enter_context(started("bare", bare_command, env, folder))
        ours_port, ours_process = stack.enter_context(started("ours", ["api", "--fd"], env, folder))
        sender = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "benchmarks.service", "send"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(sender.kill)

        def sent(target: Target, request: str, clients: int, seconds: float, wanted: str) -> dict[str, Any]:
            order = {"port": target.port, "request": request, "clients": clients, "seconds": seconds, "wanted": wanted}
            assert sender.stdin is not None and sender.stdout is not None
            before = target.cpu_s()
            sender.stdin.write(json.dumps(order) + "\n")
            sender.stdin.flush()
            line = sender.stdout.readline()
            if not line:
                raise SystemExit(f"the sender ended; logs of the servers are in {folder}")
            found = dict(json.loads(line))
            found["cpu_ms"] = 1e3 * (target.cpu_s() - before) / found["count"]
            return found

        for process, port in ((bare_process, bare_port), (ours_process, ours_port)):
            _until_it_answers(process, port, folder)
        bare = Target("bare", bare_port, bare_process.pid, "")
        ours = Target("ours", ours_port, ours_process.pid, f"Authorization: Bearer {key}\r\n")
        body = json.dumps(BRIEF).encode()
        made = {}
        for target in (bare, ours):
            found = sent(target, target.request("POST", "/v1/jobs", body), 1, 0.5, "202")
            made[target.name] = json.loads(found["first"])["id"]
        print(f"{options.database}; {options.rounds} rounds of {options.seconds} s; medians; ratios round by round")
        print("| what | clients | bare /s | ours /s | ratio | bare p95 ms | ours p95 ms | bare / ours processor ms |")
        print("|---|---|---|---|---|---|---|---|")
        for what in options.what.split(","):
            for clients in (int(number) for number in options.clients.split(",")):
                rounds: dict[str, list[dict[str, Any]]] = {"bare": [], "ours": []}
                for number in range(options.rounds):
                    for target in (bare, ours) if number % 2 == 0 else (ours, bare):
                        if what == "poll":
                            request = target.request("GET", f"/v1/jobs/{made[target.name]}")
                        else:
                            request = target.request("POST", "/v1/jobs", body, named=what == "submit named")
                        wanted = "200" if what == "poll" else "202"
                        rounds[target.name].append(sent(target, request, clients, options.seconds, wanted))
                _tell(what, clients, rounds)


def _tell(what: str, clients: int, rounds: dict[str, list[dict[str, Any]]]) -> None:
    def middle(name: str, key: str) -> float:
        return statistics.median(one[key] for one in rounds[name])

    ratio = statistics.median(
        ours["per_s"] / bare["per_s"] for bare, ours in zip(rounds["bare"], rounds["ours"], strict=True)
    )
    mark = "" if ratio >= GOAL_RATIO else " (missed)"
    print(
        f"| {what} | {clients} | {middle('bare', 'per_s'):.0f} | {middle('ours', 'per_s'):.0f} | {ratio:.2f}{mark} "
        f"| {middle('bare', 'p95_ms'):.1f} | {middle('ours', 'p95_ms'):.1f} "
        f"| {middle('bare', 'cpu_ms'):.2f} / {middle('ours', 'cpu_ms'):.2f} = "
        f"{middle('bare', 'cpu_ms') / middle('ours', 'cpu_ms'):.2f} |",
        flush=True,
    )


def _until_it_answers(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    # The socket listens already: the first answer comes when the server is up.
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as one:
                one.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                if one.recv(100).startswith(b"HTTP/1.1"):
                    return
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"a server did not start; its log is in {folder}")


def main() -> None:
    if sys.argv[1:2] == ["bare"]:
        serve_bare(sys.argv[2], socket.socket(fileno=int(sys.argv[3])))
        return
    if sys.argv[1:2] == ["send"]:
        send()
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--clients", default="1,8,32")
    parser.add_argument("--what", default="submit,submit named,poll")
    parser.add_argument("--folder", type=Path, help="where the databases lie, on the disk that is to be measured")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, fastapi {version('fastapi')}, uvicorn {version('uvicorn')}")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    folder = Path(tempfile.mkdtemp(prefix="interleaf-bench-", dir=options.folder))
    try:
        compared(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
