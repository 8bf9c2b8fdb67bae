"""The vision tower: CLIP's last layer before any norm, merged and arranged as the formulas say."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interleaf.errors import PromptInvalid
from model.network.tower import arranged, merged_patches, vector_count
from tests.model.tiny import tiny_model


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5))
def test_four_neighbours_become_one_row_by_row(count: int, half: int, width: int) -> None:
    edge = 2 * half
    patches = torch.randn(count, edge * edge, width, generator=torch.Generator().manual_seed(edge))
    merged = merged_patches(patches, 2)
    for tile in range(count):
        for row in range(half):
            for column in range(half):
                square = [patches[tile, (2 * row + dy) * edge + 2 * column + dx] for dy in range(2) for dx in range(2)]
                assert torch.equal(merged[tile, row, column], torch.cat(square))
    assert torch.equal(merged_patches(patches, 1).flatten(1, 2), patches)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4)), min_size=1, max_size=3), st.integers(1, 3))
def test_overview_then_tiles_each_row_with_its_end(grids: list[tuple[int, int]], edge: int) -> None:
    total = sum(rows * columns + 1 for rows, columns in grids)
    tiles = torch.randn(total, edge, edge, 2, generator=torch.Generator().manual_seed(total))
    row_end, overview_end = torch.full((1, 1, 1, 2), 7.0), torch.full((1, 1, 2), 9.0)
    found = arranged(tiles, grids, row_end, overview_end)
    start = 0
    for (rows, columns), sequence in zip(grids, found, strict=True):
        expected = []
        for y in range(edge):
            expected += [tiles[start, y, x] for x in range(edge)] + [torch.full((2,), 7.0)]
        expected.append(torch.full((2,), 9.0))
        for y in range(rows * edge):
            for x in range(columns * edge):
                tile = start + 1 + (y // edge) * columns + x // edge
                expected.append(tiles[tile, y % edge, x % edge])
            expected.append(torch.full((2,), 7.0))
        assert torch.equal(sequence, torch.stack(expected))
        assert len(sequence) == vector_count(rows, columns, edge)
        start += rows * columns + 1


def test_published_counts() -> None:
    assert [vector_count(r, c, 20) for r, c in ((1, 1), (2, 2), (3, 4), (4, 6))] == [841, 2061, 5281, 10101]
    assert [vector_count(r, c, 12) for r, c in ((3, 4), (6, 9))] == [1921, 8005]


@torch.no_grad()
def test_features_are_the_last_layer_without_the_last_norm() -> None:
    model = tiny_model()
    tower = model.vit.vision_tower.vision_model
    pixels = torch.randn(3, 3, 56, 56)
    hidden = tower(pixel_values=pixels, output_hidden_states=True).hidden_states[-1][:, 1:]
    assert torch.equal(model.vit(pixels), merged_patches(hidden, 2))
    tower.post_layernorm.weight.fill_(float("nan"))
    assert torch.isfinite(model.vit(pixels)).all(), "nobody reads the last norm"


@torch.no_grad()
@settings(max_examples=8)
@given(st.lists(st.tuples(st.integers(1, 2), st.integers(1, 3)), min_size=1, max_size=3))
def test_pictures_together_are_pictures_one_by_one(grids: list[tuple[int, int]]) -> None:
    model = tiny_model()
    pixels = torch.randn(sum(r * c + 1 for r, c in grids), 3, 56, 56, generator=torch.Generator().manual_seed(3))
    together = model.get_image_features(pixels, torch.tensor(grids)).pooler_output
    start = 0
    for (rows, columns), found in zip(grids, together, strict=True):
        end = start + rows * columns + 1
        (alone,) = model.get_image_features(pixels[start:end], [(rows, columns)]).pooler_output
        torch.testing.assert_close(found, alone, atol=1e-5, rtol=1e-5)
        gate = model.vision_proj
        assert isinstance(gate[1], torch.nn.GELU) and gate[1].approximate == "none"
        start = end


@torch.no_grad()
def test_one_square_picture_without_separators_in_the_fixed_families() -> None:
    model = tiny_model(tile_px=None, merge=1, separators=False, vision={"image_size": 70})
    found = model.get_image_features(torch.randn(2, 3, 70, 70)).pooler_output
    assert [tuple(f.shape) for f in found] == [(25, 32)] * 2
    assert not any("GN" in name for name, _ in model.named_parameters())
    with pytest.raises(PromptInvalid, match="does not fit this family"):
        model.get_image_features(torch.randn(2, 3, 70, 70), [(1, 1)])


def test_tiles_and_grids_that_do_not_fit_are_refused() -> None:
    with pytest.raises(PromptInvalid, match="ask for 3 tiles, pixel_values has 2"):
        arranged(torch.zeros(2, 1, 1, 4), [(1, 2)], torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 4))
    with pytest.raises(PromptInvalid, match="does not fit this family"):
        tiny_model().get_image_features(torch.zeros(1, 3, 56, 56))
