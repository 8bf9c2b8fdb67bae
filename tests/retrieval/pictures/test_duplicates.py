"""Copies that were resized, compressed or cropped a little are found; two steps of a screenshot stay two pictures."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from retrieval.pictures.duplicates import HASH_RADIUS_BITS, Look, NearDuplicates, comparable, look_of, same_picture
from tests.retrieval.drawing import scene

DEV = Path(__file__).parents[3].parent / "shared" / "eval" / "dev" / "images"


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return Image.open(out).convert("RGB")


def cropped(image: Image.Image, share: float) -> Image.Image:
    w, h = image.size
    return image.crop((int(w * share), int(h * share), w - int(w * share), h - int(h * share)))


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "recompressed": lambda i: jpeg(i, 85),
    "recompressed hard": lambda i: jpeg(i, 50),
    "half the size": lambda i: i.resize((i.width // 2, i.height // 2), Image.Resampling.LANCZOS),
    "twice the size": lambda i: jpeg(i.resize((i.width * 2, i.height * 2), Image.Resampling.BICUBIC), 85),
    "cropped by 2 %": lambda i: jpeg(cropped(i, 0.02), 85),
}


def found(original: Image.Image, copy: Image.Image) -> bool:
    near = NearDuplicates([], np.zeros(0, np.uint64))
    look = look_of(original)
    near.add("original", look)
    return near.find(comparable(copy), look_of(copy), lambda _: look.tiny, lambda _: comparable(original)) == "original"


@pytest.mark.parametrize("how", COPIES)
def test_copies_of_drawings(how: str) -> None:
    caught = [found(image, COPIES[how](image)) for image in (scene(seed, (480, 360)) for seed in range(12))]
    assert sum(caught) >= 11, f"{how}: {sum(caught)} of 12"


def screenshot(step: int) -> Image.Image:
    """A dialog with eight rows; each step has another row highlighted."""
    image = Image.new("RGB", (640, 400), "#f4f4f4")
    draw = ImageDraw.Draw(image)
    draw.rectangle([0, 0, 640, 40], fill="#35507a")
    for row in range(8):
        top = 60 + row * 40
        draw.rectangle([20, top, 620, top + 30], fill="#ffd9a0" if row == step else "white", outline="#999999")
        draw.text((30, top + 8), f"Option number {row} with some words", fill="black")
        draw.rectangle([590, top + 8, 604, top + 22], outline="black", fill="black" if row < step else "white")
    return image


def test_steps_of_a_screenshot_are_different_pictures() -> None:
    steps = [screenshot(i) for i in range(8)]
    for i, one in enumerate(steps):
        for other in steps[:i]:
            assert not same_picture(comparable(one), comparable(other))
        assert found(one, jpeg(one, 80)), "and a copy of one is still found"


def test_a_small_change_is_no_copy() -> None:
    rng = np.random.default_rng(0)
    for seed in range(10):
        image = scene(seed, (480, 360))
        changed = image.copy()
        x, y = int(rng.integers(40, 400)), int(rng.integers(40, 300))
        r, g, b = image.getpixel((x, y))
        ImageDraw.Draw(changed).ellipse([x - 18, y - 18, x + 18, y + 18], fill=(255 - r, 255 - g, 255 - b))
        assert not found(image, jpeg(changed, 85))


def test_transparency_is_seen_over_white() -> None:
    clear = scene(1).convert("RGBA")
    clear.putalpha(0)
    assert look_of(clear) == look_of(Image.new("RGB", clear.size, "white"))


def test_the_nearest_of_many_is_found_quickly() -> None:
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**63, 100_000, dtype=np.uint64)
    near = NearDuplicates([str(i) for i in range(100_000)], hashes)
    image = scene(1)
    look = look_of(image)
    for i in range(3_000):  # growing keeps what was there
        near.add(f"more {i}", Look("0" * 16, look.tiny))
    near.add("it", look)
    asked: list[str] = []

    def tiny_of(picture_id: str) -> bytes:
        asked.append(picture_id)
        return look.tiny

    assert near.find(comparable(image), look, tiny_of, lambda _: comparable(image)) == "it"
    assert len(asked) < 5, "the hash lets few through"


def test_distinct_pictures_of_real_articles_stay_distinct() -> None:
    """673 different pictures of real articles, screenshots and series of steps among them: no two are merged."""
    if not DEV.is_dir():
        pytest.skip("shared/eval is not beside the repository")
    paths = sorted(DEV.glob("*.jpg"))
    looks = [look_of(Image.open(path).convert("RGB")) for path in paths]
    hashes = np.array([int(look.perceptual_hash, 16) for look in looks], np.uint64)
    close = np.argwhere(np.triu(np.bitwise_count(hashes[:, None] ^ hashes[None, :]) <= HASH_RADIUS_BITS, 1))
    assert len(close) > 10, "the hash alone would merge some"
    merged = [
        (paths[i].name, paths[j].name)
        for i, j in close
        if same_picture(comparable(Image.open(paths[i])), comparable(Image.open(paths[j])))
    ]
    assert merged == []
