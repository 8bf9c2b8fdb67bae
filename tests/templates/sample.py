"""Sample: articles built by hand for the tests of the press: every kind of block, hostile text, CJK, right to left."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from interleaf.errors import PictureMissing
from interleaf.schema import (
    Article,
    Block,
    Code,
    Figure,
    Heading,
    ListBlock,
    ListItem,
    Paragraph,
    Picture,
    Provenance,
    Quote,
    Report,
    Run,
    SourceRecord,
    Table,
)

BY_SOURCE = Provenance(origin="source")
BY_LIBRARY = Provenance(origin="library")

# What strangers write into notes, captions and file names, in the hope that a page obeys.
HOSTILE = (
    "<script>document.title='owned';alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }} {% include '/etc/passwd' %} ${7*7}",
    "../../../../etc/passwd",
    "[click](javascript:alert(1)) [data](data:text/html,<script>alert(1)</script>)",
    "![pixel](https://example.com/track.png) ](https://example.com) ](<javascript:alert(1)>)",
    "</style></title><svg onload=alert(1)>",
    "`code` *stars* _lines_ **bold** ~~gone~~ | pipes | &lt;b&gt; &amp; \\ # 1. - + >",
    "&#60;script&#62; \u202e\u2066 <!-- comment --> <?php ?> <![CDATA[x]]>",
    "' onmouseover='alert(1)' style='position:fixed'",
)


# Language: title, heading, text, caption.
PIECES = {
    "zh": (
        "灯塔的光为什么能照那么远",
        "透镜",
        "灯塔里的灯并不特别亮。围绕它的棱镜把散开的光折向海平面，于是二十海里外也能看见。",
        "灯室里的透镜。",
    ),
    "ja": (
        "灯台の光はなぜ遠くまで届くのか",
        "レンズ",
        "灯台の灯りは特に明るいわけではない。周囲のプリズムが光を水平に曲げる。",
        "灯室のレンズ。",
    ),
    "ko": (
        "등대의 빛은 왜 멀리 가는가",
        "렌즈",
        "등대의 불빛은 그다지 밝지 않다. 둘레의 프리즘이 빛을 수평으로 굽힌다.",
        "등실의 렌즈.",
    ),
    "ar": (
        "لماذا يصل ضوء المنارة بعيدا",
        "العدسة",
        "ليس مصباح المنارة شديد السطوع. تثني المناشير حوله الضوء نحو الأفق.",
        "العدسة في غرفة المصباح.",
    ),
    "he": (
        "מדוע אור המגדלור מגיע רחוק",
        "העדשה",
        "המנורה במגדלור אינה בהירה במיוחד. מנסרות סביבה מכופפות את האור אל האופק.",
        "העדשה בחדר המנורה.",
    ),
}


@dataclass
class Shelf:
    """Pictures on disk by id: a PictureFiles."""

    paths: dict[str, Path]

    def path(self, picture_id: str) -> Path:
        try:
            return self.paths[picture_id]
        except KeyError as error:
            raise PictureMissing(picture_id, "is not on the shelf.", "") from error


class Studio:
    """Draws pictures into a folder and keeps them on a shelf."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shelf = Shelf({})
        self.pictures: list[Picture] = []

    def draw(self, width_px: int, height_px: int, kind: str = "png", **fields: object) -> Picture:
        """A picture of coloured bands, different for every call."""
        number = len(self.pictures) + 1
        image = Image.new("RGB", (width_px, height_px), (236, 232, 222))
        pen = ImageDraw.Draw(image)
        for k in range(0, max(width_px, height_px), 40):
            colour = ((k * 3 + number * 60) % 256, (80 + k) % 256, (200 - number * 20) % 256)
            pen.ellipse((k, (k * number) % height_px, k + 60, (k * number) % height_px + 60), fill=colour)
        path = self.folder / f"picture-{number}.{kind}"
        image.save(path, **({"exif": _gps_exif()} if kind in ("jpg", "png") else {}))
        return self.add(path, width_px, height_px, kind, **fields)

    def add(self, path: Path, width_px: int, height_px: int, kind: str, **fields: object) -> Picture:
        data = path.read_bytes()
        picture = Picture(
            id=hashlib.sha256(data).hexdigest(),
            media_type={"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}[kind],
            width_px=width_px,
            height_px=height_px,
            size_bytes=len(data),
            **{"name": path.name, **fields},
        )
        self.shelf.paths[picture.id] = path
        self.pictures.append(picture)
        return picture


def _gps_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E] = "SECRET DESCRIPTION"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (59.0, 54.0, 0.0)
    return exif


def number() -> object:
    """An iterator of block ids."""
    k = 0
    while True:
        k += 1
        yield f"b-{k:x}"


def article(
    blocks: tuple[Block, ...], pictures: tuple[Picture, ...] = (), title: str = "A sample", language: str = "en"
) -> Article:
    return Article(
        title=title,
        language=language,
        blocks=blocks,
        pictures=pictures,
        sources=(SourceRecord(id="s-1", name="notes/one.md", sha256="0" * 64, length_chars=10),),
        report=Report(),
        run=Run(
            interleaf_version="0.1.0", writer="extractive", writer_version="1", encoder="none", brief_sha256="0" * 64
        ),
    )


def figure(block_id: str, picture: Picture, caption: str, **fields: object) -> Figure:
    given = {"alt": f"Drawing: {caption}", "credit": "A. Person, CC BY 4.0", "licence": "CC-BY-4.0", **fields}
    return Figure(
        id=block_id,
        provenance=BY_LIBRARY,
        picture_id=picture.id,
        caption=caption,
        reason="it shows what the text says",
        score=0.8,
        **given,
    )


def every_block(studio: Studio) -> Article:
    """One of each kind of block, markup in the text, five sections, five pictures of different shapes."""
    ids = number()
    wide = studio.draw(
        1800, 1000, "jpg", author="Ada Painter", licence="CC-BY-SA-4.0", source_url="https://example.org/a?b=1&c=2"
    )
    plain = studio.draw(700, 560, author="Bo Drawer", licence="CC0-1.0")
    tall = studio.draw(600, 1400)
    tiny = studio.draw(60, 40, licence="All rights reserved", source_url="javascript:alert(1)")
    other = studio.draw(1200, 700, "webp", author="Ada Painter", licence="CC BY 2.0")
    prose = (
        "Light from the lamp goes out in every direction, and most of it would be lost in the sky and in the room "
        "behind. A ring of *prisms* bends what would be lost until it leaves **level with the horizon**, and so a "
        "flame no brighter than a street lamp is seen from [twenty miles](https://example.org/range) away."
    )

    def text(value: str, markup: str = "markdown") -> Paragraph:
        return Paragraph(id=next(ids), provenance=BY_SOURCE, text=value, markup=markup)

    def heading(value: str, level: int = 2) -> Heading:
        return Heading(id=next(ids), provenance=BY_SOURCE, text=value, level=level, markup="markdown")

    blocks: tuple[Block, ...] = (
        text(prose),
        figure(next(ids), wide, "The lamp room seen from the gallery, with the shutters open."),
        heading("How a lamp becomes a beam"),
        text(prose),
        heading("Rings and prisms", 3),
        ListBlock(
            id=next(ids),
            provenance=BY_SOURCE,
            markup="markdown",
            items=(
                ListItem(text="First order: *920 mm* focal distance, for the open sea"),
                ListItem(text="Fourth order: 250 mm, for harbours"),
                ListItem(text="with a red sector", depth=1),
                ListItem(text="and a white one", depth=1),
                ListItem(text="Sixth order: 150 mm"),
            ),
        ),
        text(prose + " " + prose),
        figure(next(ids), plain, "A small drawing of one ring."),
        heading("What the keeper wrote"),
        Quote(
            id=next(ids),
            provenance=BY_SOURCE,
            text="Wind all night.\n\nTrimmed at two, at four, at six.",
            markup="plain",
        ),
        ListBlock(
            id=next(ids),
            provenance=BY_SOURCE,
            start=3,
            items=(
                ListItem(text="Trim the wick", ordered=True),
                ListItem(text="Polish the glass", ordered=True),
                ListItem(text="Wind the clockwork", ordered=True),
            ),
        ),
        text(prose),
        figure(next(ids), tall, "The tower in section.", credit=""),
        heading("Numbers", 2),
        Table(
            id=next(ids),
            provenance=BY_SOURCE,
            markup="markdown",
            header=("Order", "Focal distance (mm)", "Height (m)", "Used for", "Rotation", "Remarks"),
            rows=(
                ("First", "920", "2.59", "sea coasts", "8 min", "the largest in *common* use, `a|b`"),
                ("Fourth", "250", "0.72", "harbours", "1 min"),
                ("Sixth", "150", "0.43", "piers", "", "kept in stock"),
            ),
            align=("left", "right", "right", "", "center", ""),
        ),
        text(prose),
        figure(next(ids), tiny, "", alt="A dot", credit=""),
        heading("The law of refraction", 2),
        Code(
            id=next(ids),
            provenance=BY_SOURCE,
            language="python",
            text="from math import asin, degrees, radians, sin\n\n"
            "angle = degrees(asin(sin(radians(30)) * 1.0 / 1.52))  "
            '# a remark that runs past the edge of any telephone\nprint(f"{angle:.1f}")',
        ),
        text(prose),
        figure(next(ids), other, "", alt="", alt_origin="decorative"),
        heading("Afterwards", 2),
        text("A very long word: " + "Leuchtturm" * 12 + " and an address: https://example.org/" + "a" * 120, "plain"),
    )
    return article(blocks, tuple(studio.pictures), "How a flame is seen from twenty miles away")


def hostile(studio: Studio) -> Article:
    """The hostile strings in every field that can hold them, as plain text and as Markdown."""
    ids = number()
    blocks: list[Block] = []
    pictures = []
    for k, bad in enumerate(HOSTILE):
        for markup in ("plain", "markdown"):
            given = {"id": next(ids), "provenance": BY_SOURCE, "markup": markup}
            blocks += [
                Heading(**given, text=bad, level=2 + k % 5),
                Paragraph(**{**given, "id": next(ids)}, text=bad),
                Quote(**{**given, "id": next(ids)}, text=bad),
                ListBlock(**{**given, "id": next(ids)}, items=(ListItem(text=bad), ListItem(text=bad, depth=3))),
                Table(**{**given, "id": next(ids)}, header=(bad, "b"), rows=((bad,), ("a", bad))),
            ]
        picture = studio.draw(
            50 + k, 50, name=bad, caption=bad, alt=bad, author=bad, licence=bad, source_url=bad, keywords=(bad,)
        )
        pictures.append(picture)
        blocks += [
            Code(id=next(ids), provenance=BY_SOURCE, text=bad + "\n```\n" + bad, language=bad),
            figure(next(ids), picture, bad, alt=bad, credit=bad, licence=bad),
        ]
    made = article(tuple(blocks), tuple(pictures), HOSTILE[0])
    records = tuple(
        SourceRecord(id=f"s-{k}", name=bad, sha256="0" * 64, length_chars=1) for k, bad in enumerate(HOSTILE)
    )
    return made.model_copy(update={"sources": records})


def in_language(studio: Studio, language: str) -> Article:
    """A short piece in Chinese, Japanese, Korean, Arabic or Hebrew."""
    title, heading, text, caption = PIECES[language]
    ids = number()
    picture = studio.draw(1000, 600, licence="CC-BY-4.0", author="Ada Painter")
    blocks: list[Block] = [Paragraph(id=next(ids), provenance=BY_SOURCE, text=text * 3)]
    for k in range(4):
        blocks.append(Heading(id=next(ids), provenance=BY_SOURCE, text=f"{heading} {k + 1}"))
        blocks.append(Paragraph(id=next(ids), provenance=BY_SOURCE, text=text * 4))
        blocks.append(Quote(id=next(ids), provenance=BY_SOURCE, text=text))
    blocks.insert(3, figure(next(ids), picture, caption, alt=caption))
    return article(tuple(blocks), (picture,), title, language)
