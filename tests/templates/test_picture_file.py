"""Picture file: only pixels come out, upright, in true colours, within limits; what is no picture is named."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from interleaf.errors import PictureMissing, PictureUnreadable
from templates import picture_file
from templates.picture_file import Rendition, open_picture
from tests.templates.sample import Studio


def decoded(rendition: Rendition) -> Image.Image:
    return Image.open(io.BytesIO(rendition.data))


def test_metadata_is_gone_from_every_rendition(studio: Studio) -> None:
    for kind in ("jpg", "png"):
        picture = studio.draw(900, 500, kind)
        path = studio.shelf.path(picture.id)
        assert b"SECRET" in path.read_bytes()
        file = open_picture(path, "x")
        for rendition in (file.for_page(900), file.for_page(480), file.for_bundle(2400)):
            assert b"SECRET" not in rendition.data
            assert not decoded(rendition).getexif()
            assert "icc_profile" not in decoded(rendition).info


def test_renditions_have_the_size_they_say_and_never_grow(studio: Studio) -> None:
    file = open_picture(studio.shelf.path(studio.draw(900, 500).id), "x")
    for wanted, got in ((480, (480, 267)), (900, (900, 500)), (5000, (900, 500))):
        rendition = file.for_page(wanted)
        assert (rendition.width_px, rendition.height_px) == got == decoded(rendition).size


def test_a_turned_photograph_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    image = Image.new("RGB", (60, 40), "red")
    image.paste("blue", (0, 0, 10, 10))
    image.save(tmp_path / "a.png", exif=exif)
    shown = decoded(open_picture(tmp_path / "a.png", "a").for_bundle(100)).convert("RGB")
    assert shown.size == (40, 60)
    assert shown.getpixel((38, 2)) == (0, 0, 255)


def test_clear_parts_become_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "a.png")
    shown = decoded(open_picture(tmp_path / "a.png", "a").for_bundle(100)).convert("RGB")
    assert shown.getpixel((1, 1)) == (255, 255, 255)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None, :].repeat(8, axis=0)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    shown = np.asarray(decoded(open_picture(tmp_path / "a.png", "a").for_bundle(300)).convert("L")).astype(int)
    assert abs(shown[0] - np.arange(256)).max() <= 2


def test_a_foreign_colour_space_is_converted_and_a_broken_one_ignored(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name, profile in (("good.png", lab), ("broken.png", b"not a profile")):
        Image.new("RGB", (4, 4), (10, 200, 30)).save(tmp_path / name, icc_profile=profile)
        shown = decoded(open_picture(tmp_path / name, name).for_bundle(10)).convert("RGB")
        assert np.abs(np.subtract(shown.getpixel((1, 1)), (10, 200, 30))).max() <= 2


def test_plots_stay_without_loss_and_photographs_do_not_swell(tmp_path: Path) -> None:
    plot = Image.new("RGB", (600, 400), "white")
    plot.paste("navy", (50, 50, 90, 350))
    plot.save(tmp_path / "plot.png")
    noise = np.random.default_rng(1).integers(0, 255, (400, 600, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "photo.png")
    assert np.array_equal(np.asarray(decoded(open_picture(tmp_path / "plot.png", "p").for_page(600))), np.asarray(plot))
    assert np.array_equal(
        np.asarray(decoded(open_picture(tmp_path / "plot.png", "p").for_bundle(600)).convert("RGB")), np.asarray(plot)
    )
    assert len(open_picture(tmp_path / "photo.png", "p").for_page(600).data) < 0.8 * 600 * 400 * 3


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"<svg onload=alert(1)>")
    with pytest.raises(PictureUnreadable, match="harbour"):
        open_picture(tmp_path / "a.png", "harbour")
    with pytest.raises(PictureMissing, match="harbour"):
        open_picture(tmp_path / "none.png", "harbour")


def test_a_truncated_picture_is_refused(tmp_path: Path, studio: Studio) -> None:
    data = studio.shelf.path(studio.draw(400, 300, "jpg").id).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(PictureUnreadable, match="cannot be decoded"):
        open_picture(tmp_path / "cut.jpg", "cut")


def test_too_many_pixels_are_refused_before_decoding(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_file, "MAX_PICTURE_PX", 1000)
    with pytest.raises(PictureUnreadable, match="1,000 pixels"):
        open_picture(studio.shelf.path(studio.draw(40, 30).id), "big")


def test_the_same_file_gives_the_same_bytes(studio: Studio) -> None:
    path = studio.shelf.path(studio.draw(700, 500, "jpg").id)
    assert open_picture(path, "x").for_page(480) == open_picture(path, "x").for_page(480)
