"""Page picture: two screenshots of a composed page side by side, a desktop by day and a phone by night, for README.

python examples/make_page_picture.py out/demo/article.html docs/images/page.png     (needs chromium)
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

HEIGHT_PX = 1000
GAP_PX = 28
FRAME = "#d9d4c7"
# (viewport width, colour scheme, pixels per CSS pixel)
SHOTS = ((1280, "light", 1.0), (390, "dark", 1.0))


def screenshot(browser: Any, page_path: Path, width_px: int, scheme: str, scale: float) -> Image.Image:
    """The top of the page as a person sees it first."""
    viewport = {"width": width_px, "height": HEIGHT_PX}
    context = browser.new_context(viewport=viewport, color_scheme=scheme, device_scale_factor=scale)
    page = context.new_page()
    page.goto(page_path.absolute().as_uri())
    page.evaluate("Promise.all([...document.images].slice(0, 2).map(i => (i.loading = 'eager', i.decode())))")
    data = page.screenshot()
    context.close()
    return Image.open(io.BytesIO(data)).convert("RGB")


def main(page_path: Path, picture_path: Path) -> None:
    """Take the screenshots and write them as one PNG."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        shots = [screenshot(browser, page_path, *shot) for shot in SHOTS]
        browser.close()
    width_px = sum(shot.width for shot in shots) + GAP_PX * (len(shots) + 1)
    whole = Image.new("RGB", (width_px, max(shot.height for shot in shots) + 2 * GAP_PX), FRAME)
    left = GAP_PX
    for shot in shots:
        whole.paste(shot, (left, GAP_PX))
        left += shot.width + GAP_PX
    picture_path.parent.mkdir(parents=True, exist_ok=True)
    whole.quantize(256, dither=Image.Dither.NONE).save(picture_path, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
