"""The loss curve: lines that go on where a run goes on, and a picture for every kind of run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from interleaf.errors import OutputUnwritable, SourceUnreadable
from model.teaching.loss_curve import LossCurve, Step


def step(number: int, loss: float = 1.0) -> Step:
    return Step(number, number / 4, loss, 1e-4, 7)


def test_a_run_that_goes_on_drops_what_came_after_its_checkpoint(tmp_path: Path) -> None:
    curve = LossCurve(tmp_path)
    for number in range(1, 6):
        curve.add(step(number, 1 / number))
    again = LossCurve(tmp_path, steps=3)
    again.add(step(4, 0.5))
    lines = [json.loads(line) for line in (tmp_path / "loss.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines] == [1, 1 / 2, 1 / 3, 0.5] == [s.loss for s in again.steps]
    assert lines[0] == {"step": 1, "epoch": 0.25, "loss": 1.0, "learning_rate": 1e-4, "learned_tokens": 7}
    with pytest.raises(SourceUnreadable, match="does not hold the 9 steps"):
        LossCurve(tmp_path, steps=9)


@pytest.mark.parametrize(
    "losses", [[], [3.0], [0.0, 0.0], [7.9, 0.01], [1e-9, 2e-9], [1e6] * 3, [5 / i for i in range(1, 9_000)]]
)
def test_every_run_has_a_picture(tmp_path: Path, losses: list[float]) -> None:
    curve = LossCurve(tmp_path)
    curve.steps = [step(number, loss) for number, loss in enumerate(losses, 1)]
    with Image.open(curve.draw()) as picture:
        picture.load()
        shades = {colour for _, colour in picture.convert("RGB").getcolors(1_000_000) or ()}
    assert picture.size == (960, 540) and ((158, 202, 225) in shades) == bool(losses)
    assert ((8, 81, 156) in shades) == (len(losses) > 1)


def test_the_curve_falls_where_the_loss_falls(tmp_path: Path) -> None:
    curve = LossCurve(tmp_path)
    curve.steps = [step(number, 10 - number / 20) for number in range(1, 200)]
    with Image.open(curve.draw()) as picture:
        pixels = picture.convert("RGB").load()
        dark = [(x, y) for x in range(960) for y in range(540) if pixels is not None and pixels[x, y] == (8, 81, 156)]
    left, right = min(dark), max(dark)
    assert right[0] - left[0] > 800 and right[1] - left[1] > 250  # from the upper left to the lower right


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    curve = LossCurve(tmp_path)
    (tmp_path / "loss.jsonl").unlink()
    (tmp_path / "loss.jsonl").symlink_to("/dev/full")
    with pytest.raises(OutputUnwritable, match=r"No space left.*--resume"):
        curve.add(step(1))
