"""Pictures are cut exactly as the published code cuts them: its sizes, tiles and token counts, for every size."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interleaf.errors import PictureUnreadable
from model.network.tower import vector_count
from model.prompts.partition import PARTITIONS, Layout, Partition, SizeRule, Square, Strip, default_partition

SIDES = st.one_of(st.integers(1, 40), st.integers(1, 6000), st.sampled_from([335, 336, 337, 559, 560, 561, 1120, 1121]))
NAMES = sorted(PARTITIONS)


def tokens(layout: Layout) -> int:
    return vector_count(layout.rows, layout.columns, layout.unit_px // 28)


# (width, height), partition, pictures, resized, tiles (w, h), tokens
VECTORS_2D5 = [
    ((100, 80), "chat", (560, 448), (1, 1), 841),
    ((560, 560), "chat", (560, 560), (1, 1), 841),
    ((640, 480), "chat", (1120, 840), (2, 2), 2061),
    ((1920, 1080), "chat", (2240, 1260), (4, 3), 5281),
    ((1080, 1920), "chat", (1260, 2240), (3, 4), 5301),
    ((3840, 1600), "chat", (3920, 1633), (7, 3), 8881),
    ((4096, 4096), "chat", (2240, 2240), (4, 4), 6901),
    ((1000, 10000), "chat", (672, 6720), (2, 12), 10261),
    ((1920, 1080), "multi", (1680, 945), (3, 2), 2861),
    ((4000, 3000), "multi", (1120, 840), (2, 2), 2061),
    ((1920, 1080), "eval", (3360, 1890), (6, 4), 10101),
    ((1920, 1080), "finetune", (2800, 1575), (5, 3), 6481),
]
VECTORS_4KHD = [
    ((640, 480), "4khd-16", (1344, 1008), (4, 3), 1921),
    ((640, 480), "4khd-25", None, (5, 4), 3085),
    ((1920, 1080), "4khd-25", None, (6, 4), 3661),
    ((1920, 1080), "4khd-55", None, (9, 6), 8005),
    ((3840, 1600), "4khd-55", None, (11, 5), 8137),
]


@pytest.mark.parametrize(("size", "name", "resized", "tiles", "count"), VECTORS_2D5 + VECTORS_4KHD)
def test_published_sizes_tiles_and_token_counts(
    size: tuple[int, int], name: str, resized: tuple[int, int] | None, tiles: tuple[int, int], count: int
) -> None:
    layout = PARTITIONS[name].layout(*size)
    assert resized is None or layout.resized_px == resized
    assert (layout.columns, layout.rows) == tiles
    assert tokens(layout) == count


def second_reading(width: int, height: int, budget: int, unit: int, enlargement: float | None) -> tuple[int, int, int]:
    """The published function once more: tile columns, new width, new height of a landscape picture."""
    ratio = width / height
    scale = 1
    while scale * np.ceil(scale / ratio) <= budget:
        scale += 1
    scale -= 1
    if enlargement is not None:
        scale = int(min(np.ceil(width * enlargement / unit), scale))
    new_width = int(scale * unit)
    return scale, new_width, int(new_width / ratio)


@given(SIDES, SIDES, st.sampled_from(NAMES))
@example(1, 6000, "chat")
@example(6000, 1, "4khd-55")
@example(3, 1, "multi")
def test_every_size_is_cut_as_by_a_second_reading_of_the_published_code(width: int, height: int, name: str) -> None:
    rule = PARTITIONS[name]
    long_side, short_side = max(width, height), min(width, height)
    columns, new_long, new_short = second_reading(
        long_side, short_side, rule.tiles_of(1), rule.unit_px, rule.enlargement
    )
    layout = rule.layout(width, height)
    landscape = layout if width >= height else None
    resized = layout.resized_px if landscape else layout.resized_px[::-1]
    assert resized == (new_long, max(new_short, 1))  # the published code fails on a height of nothing
    assert (layout.columns if landscape else layout.rows) == columns


@given(SIDES, SIDES, st.sampled_from(NAMES), st.integers(1, 8))
def test_tiles_stay_within_the_budget_and_hold_the_picture(width: int, height: int, name: str, pictures: int) -> None:
    rule = PARTITIONS[name]
    layout = rule.layout(width, height, pictures)
    assert 1 <= layout.tiles <= rule.tiles_of(pictures)
    assert layout.padded_px == (layout.columns * rule.unit_px, layout.rows * rule.unit_px)
    for side in (0, 1):
        spare = layout.padded_px[side] - layout.resized_px[side]
        assert 0 <= spare < rule.unit_px
        assert layout.offset_px[side] == (spare // 2 if rule.padding == "centre" else 0)
    assert layout.source_px == (width, height)


@given(SIDES, SIDES, st.sampled_from([*PARTITIONS.values(), Strip(), Square(490)]))
def test_a_portrait_is_a_landscape_mirrored(width: int, height: int, rule: SizeRule) -> None:
    one, other = rule.layout(width, height), rule.layout(height, width)
    assert (one.rows, one.columns) == (other.columns, other.rows)
    assert one.resized_px == other.resized_px[::-1]
    assert one.offset_px == other.offset_px[::-1]


@given(SIDES, SIDES)
def test_the_token_formula_counts_vectors_and_separators(width: int, height: int) -> None:
    layout = PARTITIONS["chat"].layout(width, height)
    overview = 20 * (20 + 1)
    tiles = 20 * layout.rows * (20 * layout.columns + 1)
    assert tokens(layout) == overview + 1 + tiles


def test_the_evaluation_divides_its_budget_twice_and_leaves_four() -> None:
    assert [PARTITIONS["eval"].tiles_of(n) for n in (1, 2, 3, 4, 36, 100)] == [36, 9, 4, 4, 4, 4]


@pytest.mark.parametrize(
    ("padding", "pictures", "name"),
    [("end", 1, "chat"), ("end", 2, "multi"), ("centre", 1, "4khd-55"), ("centre", 3, "4khd-16")],
)
def test_the_budget_follows_the_number_of_pictures(padding: str, pictures: int, name: str) -> None:
    assert default_partition(padding, pictures) == name


@given(SIDES, SIDES)
def test_a_strip_is_one_tile_wide(width: int, height: int) -> None:
    layout = Strip().layout(width, height)
    assert 1 in (layout.rows, layout.columns)
    ratio = max(width, height) / min(width, height)
    assert layout.tiles == math.ceil(int(560 * ratio) / 560)
    assert layout.offset_px == (0, 0)


@pytest.mark.parametrize("edge", [490, 224])
def test_a_square_ignores_the_shape(edge: int) -> None:
    layout = Square(edge).layout(640, 10)
    assert (layout.resized_px, layout.rows, layout.columns) == ((edge, edge), 0, 0)


@pytest.mark.parametrize("rule", [Partition(24), Strip(), Square(490)])
@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 5)])
def test_a_picture_of_nothing_is_refused_with_its_size(rule: SizeRule, size: tuple[int, int]) -> None:
    with pytest.raises(PictureUnreadable, match=f"{size[0]} × {size[1]} px"):
        rule.layout(*size)
