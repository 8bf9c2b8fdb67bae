"""`interleaf chat` and `interleaf models serve` as a person and a script use them, on tiny and on slow models."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import openai
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from interleaf.cli.app import app
from interleaf.errors import InterleafError, ModelMissing, PictureUnreadable, RequestRefused, SettingInvalid
from tests.model.test_whole import shelved

ROOT = Path(__file__).resolve().parents[2]
SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal: a job in the background ignores it
import interleaf.cli.app
from interleaf import approot
approot.enter()
import model.engines
from model.engine import Piece

class Slow:
    name, fingerprint, context_length = "slow", "f", 100
    def count(self, request):
        return 1
    def close(self):
        pass
    def generate(self, requests, canceled=lambda: False):
        past = len(requests[0].turns) // 2
        for number in range(1 if requests[0].turns[-1].parts[-1] == "short" else 3000):
            time.sleep(0.01)
            if canceled():
                yield Piece(0, "", 0, "canceled")
                return
            yield Piece(0, f"w{number}\\x1b[31m past={past} ", 1)
        yield Piece(0, "", 0, "stop")

model.engines.open_engine = lambda folder, **options: Slow()
sys.argv[0] = "interleaf"
interleaf.cli.app.main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shelved(tmp_path_factory.mktemp("chat"), "2d5-7b")


@pytest.fixture(scope="module")
def photo(folder: Path) -> Path:
    path = folder.parent / "my harbour.png"
    Image.linear_gradient("L").resize((60, 40)).convert("RGB").save(path)
    return path


def run(folder: Path, *options: str, stdin: str = "") -> Result:
    arguments = ["chat", "tiny", "--models", str(folder.parent), "--max-tokens", "4", *options]
    return CliRunner().invoke(app, arguments, input=stdin)


def refused(kind: type[InterleafError], result: Result) -> str:
    assert isinstance(result.exception, kind), result.output
    return result.exception.message


def test_piped_questions_are_answered_one_a_line_and_the_same_each_time(folder: Path, photo: Path) -> None:
    questions = f"What is it?\n\n/image {photo}\nAnd '{photo.name}'?\n/clear\nWhat is it?\n"
    first = run(folder, "--image", str(photo), "--system", "Be kind.", stdin=questions)
    assert first.exit_code == 0, first.output
    assert "my harbour.png: shown with the next question" in first.stderr and "begun anew" in first.stderr
    assert len(first.stdout.splitlines()) >= 3
    assert run(folder, "--image", str(photo), "--system", "Be kind.", stdin=questions).stdout == first.stdout
    seeded = [run(folder, "--temperature", "2", "--seed", str(seed), stdin="Hello\n").stdout for seed in (1, 1, 2)]
    assert seeded[0] == seeded[1] != seeded[2]


def test_exit_ends_before_the_questions_behind_it(folder: Path) -> None:
    assert run(folder, stdin="/exit\nHello\n").stdout == ""
    assert run(folder, stdin="").exit_code == 0


def test_a_folder_serves_as_a_name(folder: Path) -> None:
    by_folder = CliRunner().invoke(app, ["chat", str(folder), "--max-tokens", "4"], input="Hello\n")
    assert by_folder.stdout == run(folder, stdin="Hello\n").stdout


def test_the_first_error_of_a_script_ends_it_and_names_what_is_wrong(folder: Path, photo: Path) -> None:
    assert "absent" in refused(ModelMissing, CliRunner().invoke(app, ["chat", "absent", "--models", str(folder)]))
    assert "no.png" in refused(PictureUnreadable, run(folder, "--image", "no.png", stdin="Hello\n"))
    assert "no.png" in refused(PictureUnreadable, run(folder, stdin="/image no.png\nHello\n"))
    assert "/dance" in refused(RequestRefused, run(folder, stdin="/dance\n"))
    assert "/image PATH" in refused(RequestRefused, run(folder, stdin="/image\n"))
    assert run(folder, "--temperature", "9", stdin="Hello\n").exit_code == 2


class Screen:
    """What a terminal shows, read on from where the last look ended."""

    def __init__(self, terminal: int) -> None:
        self.terminal, self.unread = terminal, ""

    def until(self, words: str, again: Callable[[], object] | None = None) -> str:
        """Everything up to and with `words`. `again` is called every second until they are shown: a signal that comes
        just before a read begins is only noticed when the read ends."""
        end, due = time.monotonic() + 60, time.monotonic()
        while words not in self.unread:
            assert time.monotonic() < end, f"{words!r} was not shown: {self.unread!r}"
            if again is not None and time.monotonic() >= due:
                again()
                due = time.monotonic() + 1
            if select.select([self.terminal], [], [], 0.2)[0]:
                self.unread += os.read(self.terminal, 65_536).decode("utf-8", "replace")
        shown, found, self.unread = self.unread.partition(words)
        return shown + found


def test_ctrl_c_ends_the_answer_and_not_the_chat(folder: Path) -> None:
    ours, theirs = pty.openpty()
    screen = Screen(ours)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'sdk'}:{ROOT}", "TERM": "dumb"}
    program = subprocess.Popen(
        [sys.executable, "-c", SLOW, "chat", "tiny", "--models", str(folder.parent)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
    )
    try:
        os.close(theirs)
        screen.until("> ")
        os.write(ours, b"long\n")
        screen.until("w5")
        program.send_signal(signal.SIGINT)
        shown = screen.until("(stopped)")
        assert "\x1b[31m" not in shown and "w900" not in shown
        os.write(ours, b"short\n")
        screen.until("w0 [31m past=1")  # what was said of the first answer stayed
        screen.until("> ")
        screen.until("/exit or Ctrl-D leaves", again=lambda: program.send_signal(signal.SIGINT))
        os.write(ours, b"/dance\n")
        screen.until("is no command")
        os.write(ours, b"/exit\n")
        assert program.wait(20) == 0
    finally:
        program.kill()
        program.wait()
        os.close(ours)


def test_a_served_model_answers_the_real_client(folder: Path, photo: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.txt"
    key.write_text("0123456789abcdef\n", encoding="ascii")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'sdk'}:{ROOT}"}
    command = [sys.executable, "-m", "interleaf", "models", "serve", "tiny", "--models", str(folder.parent)]
    program = subprocess.Popen(
        [*command, "--port", "0", "--api-key-file", str(key)], stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert program.stderr is not None
        line = next(said for said in program.stderr if "http://" in said)
        address = next(word for word in line.split() if word.startswith("http://"))
        client = openai.OpenAI(base_url=address, api_key="0123456789abcdef", max_retries=2, timeout=60)
        made = client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": "Hello"}], max_tokens=4, temperature=0
        )
        assert made.usage is not None and 0 < made.usage.completion_tokens <= 4
        assert (made.choices[0].message.content or "") + "\n" == run(folder, stdin="Hello\n").stdout
        with pytest.raises(openai.AuthenticationError):
            openai.OpenAI(base_url=address, api_key="another-key-0123", max_retries=0).models.list()
        program.send_signal(signal.SIGINT)
        assert program.wait(20) in (0, 130)
    finally:
        program.kill()
        program.wait()


def test_serving_beyond_this_machine_needs_a_key(folder: Path, tmp_path: Path) -> None:
    def serve(*options: str) -> Result:
        return CliRunner().invoke(app, ["models", "serve", "tiny", "--models", str(folder.parent), *options])

    assert "0.0.0.0" in refused(RequestRefused, serve("--host", "0.0.0.0", "--port", "0"))
    short = tmp_path / "short.txt"
    short.write_text("abc", encoding="ascii")
    assert "short.txt" in refused(SettingInvalid, serve("--api-key-file", str(short)))
    assert "none.txt" in refused(SettingInvalid, serve("--api-key-file", str(tmp_path / "none.txt")))
