"""What a picture says about itself is read from IPTC, XMP, EXIF and PNG text; hostile blocks say nothing."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from retrieval.pictures.container import Container
from retrieval.pictures.decode import decode
from retrieval.pictures.embedded import embedded_metadata
from retrieval.pictures.metadata import PictureMetadata
from tests.retrieval.drawing import encoded, exif_block, iptc_block, png_texts, scene, with_iptc, xmp_packet


def _said(data: bytes) -> PictureMetadata:
    decoded = decode(data, "a")
    return embedded_metadata(decoded.said, decoded.exif)


def test_exif() -> None:
    said = _said(
        encoded(scene(1), exif=exif_block(description="Brücke über den Fluss", artist="Jo Lind", copyright="CC BY 4.0"))
    )
    assert (said.caption, said.caption_origin) == ("Brücke über den Fluss", "embedded")
    assert (said.author, said.licence, said.taken_at) == ("Jo Lind", "CC-BY-4.0", datetime(2021, 5, 4, 10, 20, 30))


def test_windows_words_in_exif() -> None:
    exif = Image.Exif()
    exif[0x9C9B] = "ein Titel".encode("utf-16-le") + b"\0\0"
    exif[0x9C9E] = "See;Hafen".encode("utf-16-le") + b"\0\0"
    said = _said(encoded(scene(1), exif=exif.tobytes()))
    assert said.caption == "ein Titel" and said.keywords == ("See", "Hafen")


def test_what_cameras_write_is_no_caption() -> None:
    for camera in ("OLYMPUS DIGITAL CAMERA", "SONY DSC", "Created with GIMP", "DCIM\\100", "  "):
        assert _said(encoded(scene(1), exif=exif_block(description=camera))).caption in ("", "DCIM\\100")
    assert _said(encoded(scene(1), exif=exif_block(description="a digital clock"))).caption == "a digital clock"


def test_xmp_prefers_the_default_language() -> None:
    packet = xmp_packet(
        description="a mill",
        creator="Ana",
        subject="mill,wind",
        licence="https://creativecommons.org/licenses/by-sa/3.0/",
        alt="a mill on a hill",
    )
    for data in (encoded(scene(1), xmp=packet), encoded(scene(1), "WEBP", xmp=packet)):
        said = _said(data)
        assert (said.caption, said.author, said.keywords) == ("a mill", "Ana", ("mill", "wind"))
        assert (said.licence, said.alt) == ("CC-BY-SA-3.0", "a mill on a hill")


def test_iptc_goes_before_xmp_and_exif() -> None:
    block = iptc_block(
        {
            (1, 90): b"\x1b%G",
            (2, 120): b"la plage",
            (2, 80): "Zoé".encode(),
            (2, 25): [b"mer", b"sable"],
            (2, 116): b"CC0",
            (2, 55): b"20200131",
        }
    )
    jpeg = encoded(scene(1), xmp=xmp_packet(description="no", alt="kept"), exif=exif_block(description="no"))
    said = _said(with_iptc(jpeg, block))
    assert (said.caption, said.author, said.keywords) == ("la plage", "Zoé", ("mer", "sable"))
    assert (said.licence, said.alt, said.taken_at) == ("CC0-1.0", "kept", datetime(2020, 1, 31))


def test_png_texts() -> None:
    said = _said(encoded(scene(1), "PNG", pnginfo=png_texts(Description="a map", Author="Li", Copyright="CC-BY-4.0")))
    assert (said.caption, said.author, said.licence) == ("a map", "Li", "CC-BY-4.0")


def test_xml_bombs_say_nothing() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>'
    outside = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'
    for xmp in (bomb, outside, b"<x", b"<x>" * 50_000, b"\xff\xfe<\0"):
        assert embedded_metadata(Container(b"", xmp=xmp), {}) == PictureMetadata()


@pytest.mark.filterwarnings("ignore::UserWarning")  # as decode.py sets it for Pillow's EXIF reader
@settings(max_examples=100)
@given(exif=st.binary(max_size=300), iptc=st.binary(max_size=300), xmp=st.binary(max_size=300))
def test_damaged_blocks_never_raise(exif: bytes, iptc: bytes, xmp: bytes) -> None:
    from retrieval.pictures.decode import _exif_tags

    tags = _exif_tags(b"II*\0\x08\0\0\0" + exif)
    embedded_metadata(Container(b"", iptc=b"\x1c\x02" + iptc, xmp=b"<" + xmp + b">"), tags).cleaned()


def test_a_caption_made_of_cameras_words_takes_no_time() -> None:
    # Each "dsc" may end where the next one begins: a pattern that tries all ways never ends.
    for caption in ("dsc" * 66 + "!", "fuji" * 49 + "!", "charset=dsc" * 18 + "!"):
        assert embedded_metadata(Container(b"", xmp=xmp_packet(description=caption)), {}).caption == caption
    assert embedded_metadata(Container(b"", xmp=xmp_packet(description="DSC_0042 fujifilm 7")), {}).caption == ""
