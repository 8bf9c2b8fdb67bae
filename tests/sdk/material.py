"""Material for compositions in tests: notes and pictures of our own, made on the spot."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

NOTES = {
    "locks.md": """# How a canal lock works

A canal lock lifts boats from one level of water to another. It is a chamber of stone or brick with a gate at each end.
A boat enters the chamber while its water stands as high as the canal outside. The keeper then
closes the gate behind it.

## Filling the chamber

Small doors in the upper gate, called paddles, let water run in from above. The water rises slowly and carries the boat
with it. When both sides of the upper gate stand level, the gate opens without force. Nobody could push it open before,
because the weight of the water presses it shut.

The gates meet in a shallow V that points upstream. The higher water pushes the two leaves together and seals the gap.
Leonardo da Vinci drew such mitre gates for a canal in Milan.

## Going down

Going down works the other way round. The boat enters the full chamber at the upper level. Paddles in the lower gate let
the water out into the canal below. The boat sinks with the water until the lower gate can be opened.

> A lock spends water: each passage lets a chamber full of it run downhill.

- Close the gates.
- Open the paddles.
- Wait until the levels match.
""",
    "water.txt": """Where the water comes from

The summit of a canal has to be fed with water. Reservoirs in the hills store the rain of the winter. A side pond beside
a lock saves a part of each filling: the first half of the water runs into the pond and is used again for the next boat.
Pumps driven by steam returned water to the summit of some canals in the nineteenth century.

Dry summers closed whole canals. Keepers then let boats pass only in pairs, so that each chamber of water carried two.
""",
}
PICTURES = {
    "mitre-gates.png": ("The two leaves of the mitre gates meet in a V that points upstream.", (70, 90, 140)),
    "paddles.jpg": ("Paddles in the upper gate let water run into the chamber.", (60, 130, 90)),
    "side-pond.png": ("A side pond beside the lock saves half of the water of each filling.", (120, 160, 190)),
    "espresso.png": ("An espresso machine with two groups on a kitchen counter.", (150, 80, 60)),
}


def write_material(folder: Path) -> Path:
    """`notes/` and `pictures/` with a manifest in `folder`."""
    (folder / "notes").mkdir(parents=True)
    for name, text in NOTES.items():
        (folder / "notes" / name).write_text(text, encoding="utf-8")
    (folder / "pictures").mkdir()
    rows = ["file,caption,author,licence"]
    for i, (name, (caption, colour)) in enumerate(PICTURES.items()):
        picture = Image.new("RGB", (320, 240), colour)
        draw = ImageDraw.Draw(picture)
        for k in range(6):
            draw.line((20 * k + 7 * i, 0, 300 - 30 * k, 240 - 11 * i), fill=(255, 255 - 40 * k, 40 * i), width=3 + i)
        draw.ellipse((40 + 30 * i, 60, 160 + 30 * i, 180), outline="white", width=2 + 3 * i)
        picture.save(folder / "pictures" / name)
        rows.append(f'{name},"{caption}",Ada Example,CC0-1.0')
    (folder / "pictures" / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder
