"""`interleaf chat` and `interleaf models serve` as a person and a script use them, on tiny and on slow models."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from interleaf.cli.app import app
from interleaf.errors import (
    InterleafError,
    ModelMissing,
    PictureUnreadable,
    PromptTooLong,
    RequestRefused,
    SettingInvalid,
    Unsupported,
)
from interleaf.text import clean
from model.inference.engine import Piece, Request
from model.inference.xcomposer_engine import XComposerEngine
from model.prompts.prompt import PicturePlace
from model.prompts.video import VideoComposite
from tests.model.test_whole import shelved

ROOT = Path(__file__).resolve().parents[2]
SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal: a job in the background ignores it
import interleaf.cli.app
from interleaf import approot
approot.enter()
import model.inference.engines
from model.inference.engine import Piece

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

model.inference.engines.open_engine = lambda folder, **options: Slow()
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


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What the native engine is asked, as it is asked."""
    requests: list[Request] = []
    true_generate = XComposerEngine.generate

    def kept(self: XComposerEngine, several: Sequence[Request], canceled: Callable[[], bool]) -> Iterator[Piece]:
        requests.extend(several)
        return true_generate(self, several, canceled)

    monkeypatch.setattr(XComposerEngine, "generate", kept)
    return requests


def shown_in(request: Request) -> list[str]:
    """The user's turns, pictures as ▢."""
    turns = [turn for turn in request.turns if turn.role == "user"]
    return ["".join("▢" if isinstance(part, PicturePlace) else part for part in turn.parts) for turn in turns]


def test_pictures_of_several_turns_stay_in_the_talk(folder: Path, tmp_path: Path, asked: list[Request]) -> None:
    for name in ("a", "b", "c"):
        Image.new("RGB", (30, 20), {"a": "red", "b": "lime", "c": "blue"}[name]).save(tmp_path / f"{name}.png")
    first, rest = tmp_path / "a.png", f"{tmp_path / 'b.png'} {tmp_path / 'c.png'}"
    said = run(folder, "--image", str(first), stdin=f"One?\n/image {rest}\nTwo?\nThree?\n/clear\nFour?\n")
    assert said.exit_code == 0, said.output
    assert [shown_in(request) for request in asked] == [
        ["One?"],  # a single one stands before everything
        ["Image1 ▢; One?", "Image2 ▢; Image3 ▢; Two?"],
        ["Image1 ▢; One?", "Image2 ▢; Image3 ▢; Two?", "Three?"],
        ["Four?"],
    ]
    names = [[Path(str(picture)).name for picture in request.pictures] for request in asked]
    assert names == [["a.png"], ["a.png", "b.png", "c.png"], ["a.png", "b.png", "c.png"], []]
    answers = [turn.parts[0] for turn in asked[2].turns if turn.role == "assistant"]
    shown = "".join(f"{clean(str(answer))}\n" for answer in answers)
    assert said.stdout.startswith(shown), "what was said stays in the talk"


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Two seconds that go from black to white."""
    av = pytest.importorskip("av", reason="PyAV is not installed")
    path = tmp_path / "tide.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=4)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(8):
            frame = Image.new("RGB", (64, 48), (36 * number,) * 3)
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode())
    return path


def test_a_video_is_shown_by_option_and_command(folder: Path, photo: Path, video: Path, asked: list[Request]) -> None:
    by_option = run(folder, "--video", str(video), stdin="What happens?\n")
    by_command = run(folder, stdin=f"/video {video}\nWhat happens?\n/image {photo}\nAnd here?\n")
    assert (by_option.exit_code, by_command.exit_code) == (0, 0), by_option.output + by_command.output
    assert "tide.mp4: shown with the next question" in by_command.stderr
    assert by_option.stdout == by_command.stdout.splitlines(keepends=True)[0]
    question = "Here are some frames of a video. What happens?"
    assert [shown_in(request) for request in asked] == [
        [question],
        [question],
        [f"Image1 ▢; {question}", "Image2 ▢; And here?"],
    ]
    seen = asked[0].pictures[0]
    assert isinstance(seen, VideoComposite)
    small = seen.image.convert("L").resize((1, 8)).tobytes()
    assert small[0] < small[7], "its first frame is darker than its last"
    still = refused(PictureUnreadable, run(folder, "--video", str(photo), stdin="Hello\n"))
    assert "my harbour.png" in still and "video" in still
    moving = refused(PictureUnreadable, run(folder, "--image", str(video), stdin="Hello\n"))
    assert "tide.mp4" in moving


def test_fewer_bits_and_a_device_by_option(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[XComposerEngine] = []
    true_init = XComposerEngine.__init__

    def kept(self: XComposerEngine, *values: Any, **named: Any) -> None:
        true_init(self, *values, **named)
        opened.append(self)

    monkeypatch.setattr(XComposerEngine, "__init__", kept)
    plain = run(folder, "--device", "cpu", stdin="Hello\n")
    small = run(folder, "--device", "cpu", "--weights", "int8", stdin="Hello\n")
    assert (plain.exit_code, small.exit_code) == (0, 0), plain.output + small.output
    assert small.stdout.strip() and len({engine.fingerprint for engine in opened}) == 2
    kinds = [type(engine._model.model.layers[0].feed_forward.w1.weight).__name__ for engine in opened]
    assert "Int8" not in kinds[0] and "Int8" in kinds[1], "the decoder's matrices are held in bytes"
    assert "'abacus' is not here. Choose one of: cpu" in refused(Unsupported, run(folder, "--device", "abacus"))
    if not torch.cuda.is_available():
        assert "'cuda:1' is not here" in refused(Unsupported, run(folder, "--device", "cuda:1"))
    assert run(folder, "--weights", "int2").exit_code == 2


def test_an_answer_that_does_not_end_is_cut_and_the_talk_goes_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    true_init = XComposerEngine.__init__

    def endless(self: XComposerEngine, *values: Any, **named: Any) -> None:
        true_init(self, *values, **named)
        self._ends = frozenset()

    monkeypatch.setattr(XComposerEngine, "__init__", endless)
    said = run(folder, "--max-tokens", "30", stdin="Hello\nAnd now?\n")
    assert said.exit_code == 0 and said.stderr.count("(cut at --max-tokens)") == 2
    too_long = refused(PromptTooLong, run(folder, "--max-tokens", "1000000", stdin="Hello\n"))
    assert "1,000,000 are kept for the answer" in too_long


def test_lines_of_blanks_ask_nothing_and_spelt_placeholders_show_nothing(folder: Path, asked: list[Request]) -> None:
    said = run(folder, stdin="   \n\t\n\u3000\nWhat is <ImageHere>?\n")
    assert said.exit_code == 0, said.output
    assert [shown_in(request) for request in asked] == [["What is <ImageHere>?"]]
    assert asked[0].pictures == ()


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


def test_a_served_model_answers_the_real_client(folder: Path, tmp_path: Path) -> None:
    options = ("--weights", "int8", "--device", "cpu")
    key = tmp_path / "key.txt"
    key.write_text("0123456789abcdef\n", encoding="ascii")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'sdk'}:{ROOT}"}
    command = [sys.executable, "-m", "interleaf", "models", "serve", "tiny", "--models", str(folder.parent)]
    command += ["--port", "0", "--api-key-file", str(key), *options]
    program = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert program.stderr is not None
        line = next(said for said in program.stderr if "http://" in said)
        address = next(word for word in line.split() if word.startswith("http://"))
        client = openai.OpenAI(base_url=address, api_key="0123456789abcdef", max_retries=2, timeout=60)
        made = client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": "Hello"}], max_tokens=4, temperature=0
        )
        assert made.usage is not None and 0 < made.usage.completion_tokens <= 4
        assert (made.choices[0].message.content or "") + "\n" == run(folder, *options, stdin="Hello\n").stdout
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
    assert "abacus" in refused(Unsupported, serve("--port", "0", "--device", "abacus"))
    empty = refused(ModelMissing, CliRunner().invoke(app, ["models", "serve", str(tmp_path)]))
    assert "a folder without a model" in empty
