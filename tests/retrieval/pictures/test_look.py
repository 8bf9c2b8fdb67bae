"""Look: the numbers have the promised form in every mode, and pictures of one series are near one another."""

import numpy as np
import pytest
from PIL import Image

from agents.placing.looks import COLOUR_BINS as BINS_READ
from retrieval.pictures.look import COLOUR_BINS, LAYOUT_VALUES, look_of


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P"])
def test_every_mode_and_size_gives_the_same_form(mode: str) -> None:
    for size in ((1, 1), (3, 500), (64, 48)):
        look = look_of(Image.new(mode, size))
        assert len(look) == COLOUR_BINS + LAYOUT_VALUES
        assert abs(sum(v * v for v in look[:COLOUR_BINS]) - 1.0) < 1e-3
        assert all(0.0 <= v <= 1.0 for v in look)


def test_colour_and_layout_tell_pictures_apart() -> None:
    red, dark_red, blue = (np.array(look_of(Image.new("RGB", (40, 40), c))) for c in ("#d01010", "#c81414", "#1010d0"))
    assert red[:COLOUR_BINS] @ dark_red[:COLOUR_BINS] > 0.99
    assert red[:COLOUR_BINS] @ blue[:COLOUR_BINS] < 0.01
    assert np.abs(red[COLOUR_BINS:] - blue[COLOUR_BINS:]).max() > 0.5


def test_reader_and_maker_agree_on_the_form() -> None:
    assert BINS_READ == COLOUR_BINS
