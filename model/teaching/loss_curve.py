"""Loss curve: how a teaching run went, a line of JSON for each step and a picture of them.

The picture is drawn with Pillow, which is there anyway: one curve over two axes needs no plotting library.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from interleaf.errors import OutputUnwritable, SourceUnreadable
from interleaf.whole_file import write_whole

__all__ = ["CURVE_LINES", "CURVE_PICTURE", "LossCurve", "Step"]

CURVE_LINES: Final = "loss.jsonl"
CURVE_PICTURE: Final = "loss.png"

_SIZE_PX: Final = (960, 540)
_LEFT_PX, _TOP_PX, _RIGHT_PX, _BOTTOM_PX = 80, 48, 24, 56
_LETTERS_PX: Final = 16
_SMOOTHING: Final = 0.9
_MAX_DRAWN: Final = 4_000


@dataclass(frozen=True)
class Step:
    """One step of the optimiser: mean loss of a learned token, the rate, how many tokens were learned."""

    step: int
    epoch: float
    loss: float
    learning_rate: float
    learned_tokens: int


class LossCurve:
    """The steps of a run, in a folder; each is on the disk when `add` returns to the system."""

    def __init__(self, folder: Path, steps: int = 0) -> None:
        """Begins anew, or goes on behind the first `steps` lines of what is there.

        SourceUnreadable when these lines are not whole; OutputUnwritable."""
        self._path = folder / CURVE_LINES
        self._picture = folder / CURVE_PICTURE
        self.steps: list[Step] = _read(self._path, steps) if steps else []
        write_whole(self._path, "".join(_line(step) for step in self.steps).encode())

    def add(self, step: Step) -> None:
        """Take in a step. OutputUnwritable when the disk is full."""
        self.steps.append(step)
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(_line(step))
        except OSError as error:
            problem = f"cannot be written ({error.strerror or error})."
            raise OutputUnwritable(str(self._path), problem, "Free some space, then go on with --resume.") from error

    def draw(self) -> Path:
        """The picture, a PNG. OutputUnwritable."""
        out = io.BytesIO()
        _drawn(self.steps).save(out, "PNG")
        return write_whole(self._picture, out.getvalue())


def _line(step: Step) -> str:
    return json.dumps(asdict(step)) + "\n"


def _read(path: Path, count: int) -> list[Step]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[:count]
        steps = [Step(**json.loads(line)) for line in lines]
        if [step.step for step in steps] != list(range(1, count + 1)):
            raise ValueError(f"{len(steps)} steps of {count}")
    except (OSError, ValueError, TypeError) as error:
        problem = f"does not hold the {count:,} steps that were done ({error})."
        raise SourceUnreadable(path.name, problem, "Put it back, or begin again in another folder.") from error
    return steps


def _drawn(steps: Sequence[Step]) -> Image.Image:
    """Each loss as a point, and the smoothed curve."""
    image = Image.new("RGB", _SIZE_PX, "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(_LETTERS_PX)
    width, height = _SIZE_PX[0] - _LEFT_PX - _RIGHT_PX, _SIZE_PX[1] - _TOP_PX - _BOTTOM_PX
    last = steps[-1].step if steps else 1
    tick = _tick(max((step.loss for step in steps), default=1.0))
    top = tick * 5

    def x_px(step: float) -> float:
        return _LEFT_PX + width * step / last

    def y_px(loss: float) -> float:
        return _TOP_PX + height * (1 - loss / top)

    for number in range(6):
        y = y_px(tick * number)
        draw.line((_LEFT_PX, y, _LEFT_PX + width, y), fill="#dddddd")
        draw.text((_LEFT_PX - 8, y), f"{tick * number:.4g}", fill="#444444", font=font, anchor="rm")
        at = last * number / 5
        draw.text((x_px(at), _TOP_PX + height + 8), f"{round(at):,}", fill="#444444", font=font, anchor="ma")
    draw.text((_LEFT_PX + width, _SIZE_PX[1] - 8), "steps", "#444444", font, "rd")
    if steps:
        said = f"loss of a learned token: {steps[0].loss:.4f} at first, {steps[-1].loss:.4f} at last"
        draw.text((_LEFT_PX, _TOP_PX - 16), said, "#222222", font, "ls")
    smooth: list[tuple[float, float]] = []
    mean = weight = 0.0
    every = math.ceil(len(steps) / _MAX_DRAWN) or 1
    for number, step in enumerate(steps):
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * step.loss
        weight = _SMOOTHING * weight + (1 - _SMOOTHING)
        if number % every == 0 or number == len(steps) - 1:
            x, y = x_px(step.step), y_px(step.loss)
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill="#9ecae1")
            smooth.append((x, y_px(mean / weight)))
    if len(smooth) > 1:
        draw.line(smooth, fill="#08519c", width=2)
    return image


def _tick(most: float) -> float:
    """A fifth of the vertical axis: 1, 2 or 5 times a power of ten, so that `most` fits."""
    least = max(most, 1e-6) / 5
    power = 10.0 ** math.floor(math.log10(least))
    return next((power * digit for digit in (1, 2, 5) if power * digit >= least), power * 10)
