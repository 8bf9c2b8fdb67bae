"""Draw the pictures of the articles in examples/lessons: plain scenes, each unlike the others.

python examples/make_lesson_pictures.py
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw

FOLDER = Path(__file__).parent / "lessons" / "articles" / "pictures"
SIZE = (320, 240)


def lighthouse(draw: ImageDraw.ImageDraw) -> None:
    draw.rectangle((0, 0, 320, 160), "#1d2b53")
    draw.rectangle((0, 160, 320, 240), "#0b3d5c")
    draw.polygon([(130, 200), (190, 200), (178, 70), (142, 70)], "#f4f1e8")
    for top in (90, 135, 180):
        draw.rectangle((136, top, 184, top + 18), "#c0392b")
    draw.polygon([(142, 70), (178, 70), (160, 45)], "#2c3e50")
    draw.polygon([(160, 62), (320, 20), (320, 100)], "#f9e79f")


def sailing_boat(draw: ImageDraw.ImageDraw) -> None:
    draw.rectangle((0, 0, 320, 90), "#00c2ff")
    draw.rectangle((0, 90, 320, 240), "#0057d9")
    draw.polygon([(80, 150), (240, 150), (210, 190), (110, 190)], "#6e2c00")
    draw.polygon([(155, 30), (155, 145), (80, 145)], "#ffffff")
    draw.polygon([(165, 50), (165, 145), (230, 145)], "#f5b041")


def windmill(draw: ImageDraw.ImageDraw) -> None:
    draw.rectangle((0, 0, 320, 130), "#ffd400")
    draw.rectangle((0, 130, 320, 240), "#1e8f1e")
    draw.polygon([(130, 200), (200, 200), (185, 90), (145, 90)], "#784212")
    for end in ((70, 30), (260, 30), (70, 160), (260, 160)):
        draw.line([(165, 95), end], "#212f3c", width=9)


def red_train(draw: ImageDraw.ImageDraw) -> None:
    draw.rectangle((0, 0, 320, 240), "#7a0c1e")
    draw.rectangle((0, 190, 320, 205), "#1b1b1b")
    for left in (20, 120, 220):
        draw.rectangle((left, 110, left + 90, 175), "#ff2a2a")
        draw.rectangle((left + 12, 122, left + 78, 145), "#fef9e7")
        for wheel in (left + 10, left + 60):
            draw.ellipse((wheel, 165, wheel + 24, 189), "#17202a")


SCENES: dict[str, Callable[[ImageDraw.ImageDraw], None]] = {
    "lighthouse": lighthouse,
    "sailing-boat": sailing_boat,
    "windmill": windmill,
    "red-train": red_train,
}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, scene in SCENES.items():
        picture = Image.new("RGB", SIZE)
        scene(ImageDraw.Draw(picture))
        picture.quantize(16).save(FOLDER / f"{name}.png", optimize=True)
    print(f"{len(SCENES)} pictures in {FOLDER.name}")


if __name__ == "__main__":
    main()
