"""A name that a person chose becomes a caption; a name that a machine gave says nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.pictures.file_name import caption_from_name


@pytest.mark.parametrize(
    ("name", "caption"),
    [
        ("old-harbour_bridge 02.jpg", "old harbour bridge"),
        ("OldHarbourBridge.png", "Old Harbour Bridge"),
        ("800px-Stone_arch.JPG", "Stone arch"),
        ("apollo-11.jpg", "apollo 11"),
        ("tide%20table%202024.png", "tide table 2024"),
        ("market (3).jpg", "market"),
        ("富士山の朝.jpg", "富士山の朝"),
        ("Straße_am_Fluß.webp", "Straße am Fluß"),
        ("windmill-1024x768-scaled.png", "windmill"),
        ("folder/inner/lighthouse.gif", "lighthouse"),
        ("portrait of p.jpg", "portrait of p"),
    ],
)
def test_a_persons_name(name: str, caption: str) -> None:
    assert caption_from_name(name) == caption


@pytest.mark.parametrize(
    "name",
    [
        "IMG_2031.jpg",
        "DSC01234.JPG",
        "P1010101.JPG",
        "PXL_20230101_123456789.jpg",
        "Screenshot 2023-01-01 at 10.20.30.png",
        "Screenshot from 2023-01-01 10-20-30.png",
        "WhatsApp Image 2023-01-01 at 10.20.30.jpeg",
        "IMG_2031-edited.jpg",
        "image (3).png",
        "figure1.png",
        "photo.jpg",
        "0065d79f75def3df5f06.jpg",
        "b8f7c0de-1234-4abc-9def-0123456789ab.png",
        "AF1QipOq8c2K3j4L5m6N7p8.jpg",
        "12345.png",
        "2023-01-01.jpg",
        "a.jpg",
        ".jpg",
        "截图2023.png",
    ],
)
def test_a_machines_name(name: str) -> None:
    assert caption_from_name(name) == ""


@given(st.text(max_size=400))
def test_any_name_gives_one_clean_line(name: str) -> None:
    caption = caption_from_name(name)
    assert caption == " ".join(caption.split()) and "/" not in caption
