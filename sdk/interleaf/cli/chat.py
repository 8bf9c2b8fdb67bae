"""`interleaf chat`: a conversation with a model about pictures, in a terminal or through a pipe."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from interleaf.cli.model_choice import DEVICE, MODELS, model_folder
from interleaf.cli.opened_engine import WeightsOption, opened_engine

if TYPE_CHECKING:
    from model.inference.conversation import Conversation
    from model.inference.engine import Engine, Seen

__all__ = ["EPILOG", "chat"]

EPILOG = """
Examples:

  interleaf chat xc25 --image harbour.jpg

  interleaf chat xc25 --image before.jpg --image after.jpg --temperature 0.7 --seed 3

  printf 'What is in the picture?\\nWhere may it be?\\n' | interleaf chat xc25 --image harbour.jpg

While chatting: /image PATH and /video PATH show something with the next question, /clear begins anew, /help, /exit.

Ctrl-C ends an answer; what was said of it stays. Through a pipe each line is a question, and the first error ends it.
"""
HELP = """/image PATH  show a picture with the next question
/video PATH  show a video with the next question
/clear       begin anew, without pictures
/exit        leave (or Ctrl-D)
Ctrl-C ends an answer."""


def chat(
    model: str = typer.Argument(..., metavar="NAME|DIR", help="A model of `interleaf models list`, or its folder."),
    image: list[Path] = typer.Option([], "--image", "-i", help="A picture for the first question. Repeatable."),
    video: list[Path] = typer.Option([], "--video", help="A video for the first question. Repeatable."),
    system: str = typer.Option("", help="What the model is told first."),
    max_tokens: int = typer.Option(1_024, min=1, help="Most tokens of an answer."),
    temperature: float = typer.Option(0.0, min=0.0, max=2.0, help="0: always the likeliest word."),
    seed: int = typer.Option(0, min=0, help="The same seed gives the same answers."),
    weights: WeightsOption = typer.Option(WeightsOption.kept, help="Numbers of the weights in memory."),
    device: str | None = DEVICE,
    models: Path | None = MODELS,
) -> None:
    """Talk with a model about pictures and videos, over several turns."""
    folder = model_folder(model, models)
    from model.inference.conversation import Conversation
    from model.inference.engine import Sampling

    shown = [*(_picture(path) for path in image), *(_video(path) for path in video)]
    sampling = Sampling(max_new_tokens=max_tokens, do_sample=temperature > 0, temperature=temperature or 1.0, seed=seed)
    person = sys.stdin.isatty()
    with opened_engine(folder, weights, device) as engine:
        talk = _Talk(engine, Conversation(system=system, sampling=sampling), shown, person)
        if person:
            _note(f"{folder.name} · /help for commands")
        for line in _lines(person):
            if not talk.said(line):
                break


class _Talk:
    """A conversation as lines: questions and commands."""

    def __init__(self, engine: Engine, conversation: Conversation, shown: list[Seen], person: bool) -> None:
        self._engine, self._conversation, self._shown, self._person = engine, conversation, shown, person

    def said(self, line: str) -> bool:
        """Do what a line says; False when the talk is over. A person is told of an error, a script is ended by it."""
        from interleaf.errors import ModelError, RequestRefused

        try:
            return self._done(line.strip())
        except (RequestRefused, ModelError) as error:
            if not self._person:
                raise
            _note(f"error: {error.message}")
            return True

    def _done(self, line: str) -> bool:
        word, _, rest = line.partition(" ")
        if word in ("/exit", "/quit"):
            return False
        if word == "/clear":
            self._conversation.clear()
            self._shown.clear()
            _note("begun anew")
        elif word == "/help":
            _note(HELP)
        elif word in ("/image", "/video"):
            for path in _paths(word, rest):
                self._shown.append(_picture(path) if word == "/image" else _video(path))
                _note(f"{path.name}: shown with the next question")
        elif line.startswith("/"):
            from interleaf.errors import RequestRefused

            raise RequestRefused(word, "is no command.", "There are /image, /video, /clear, /help and /exit.")
        elif line:
            self._asked(line)
        return True

    def _asked(self, words: str) -> None:
        """Print the answer as it grows; keep what was said of it, also when it was stopped."""
        from interleaf.text import clean

        pictures = list(self._shown)
        request = self._conversation.ask(words, pictures)
        answer: list[str] = []
        finish = None
        with _stopped_by_ctrl_c(self._person) as stopped:
            try:
                for piece in self._engine.generate([request], stopped):
                    answer.append(piece.text)
                    finish = piece.finish or finish
                    # What a model says may hold commands to the terminal.
                    typer.echo(clean(piece.text), nl=False)
            finally:
                if answer:
                    typer.echo()
        if finish != "canceled" or "".join(answer).strip():
            self._conversation.answered(words, pictures, "".join(answer))
            self._shown.clear()
        if finish == "canceled":
            _note("(stopped)")
        elif finish == "length":
            _note("(cut at --max-tokens)")


@contextmanager
def _stopped_by_ctrl_c(person: bool) -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed in the block. The first one only asks; a second one interrupts as usual. In a script
    each interrupts."""
    pressed = False

    def note(signum: int, frame: Any) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    if not person:
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _lines(person: bool) -> Iterator[str]:
    """What is typed, line by line; Ctrl-C at the prompt drops the line. Through a pipe, its lines."""
    if not person:
        yield from sys.stdin
        return
    with suppress(ImportError):
        import readline  # noqa: F401 - gives input() a history and arrow keys
    while True:
        try:
            yield input("> ")
        except EOFError:
            typer.echo()
            return
        except KeyboardInterrupt:
            typer.echo()
            _note("/exit or Ctrl-D leaves")


def _paths(command: str, rest: str) -> list[Path]:
    """The paths after a command, quoted as a shell would have them, or one with blanks as it is."""
    from interleaf.errors import RequestRefused

    whole = Path(rest.strip()).expanduser()
    if not rest.strip():
        raise RequestRefused(command, "names no file.", f"Say {command} PATH.")
    if whole.exists():
        return [whole]
    try:
        return [Path(word).expanduser() for word in shlex.split(rest)]
    except ValueError:
        return [whole]


def _picture(path: Path) -> Seen:
    """A picture whose head can be read. PictureUnreadable."""
    from model.prompts.picture import size_px

    size_px(path, path.name)
    return path


def _video(path: Path) -> Seen:
    """The frames of a video. PictureUnreadable, Unsupported."""
    from model.prompts.video import watch

    return watch(path, name=path.name)


def _note(text: str) -> None:
    """What is not the model's, apart from it."""
    typer.echo(text, err=True)
