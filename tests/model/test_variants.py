"""Each published family, from a checkpoint in its published form: pictures and logits by the second reading."""

from __future__ import annotations

import pytest
import torch

from model.network.config import Family
from model.network.xcomposer import XComposerForConditionalGeneration
from model.weights.conversion import convert
from model.weights.loading import load_model
from model.weights.seeded import write_checkpoint
from tests.model.second_reading import picture_vectors
from tests.model.tiny import straight_line, tiny_model

FAMILIES: list[Family] = ["2d5-7b", "4khd-7b", "2-vl-7b", "2-7b", "2-vl-1.8b"]
WITHIN = {"atol": 5e-5, "rtol": 1e-3}


@pytest.mark.parametrize("grid", [(1, 1), (1, 3), (2, 2)])
@torch.no_grad()
def test_tiny_pictures_by_the_second_reading(grid: tuple[int, int]) -> None:
    model = tiny_model(5)
    tiles = torch.randn(1 + grid[0] * grid[1], 3, 56, 56, generator=torch.Generator().manual_seed(2))
    (ours,) = model.get_image_features(tiles, [grid]).pooler_output
    torch.testing.assert_close(ours, picture_vectors(model, tiles, grid), **WITHIN)


@pytest.fixture(scope="module", params=FAMILIES)
def model(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> XComposerForConditionalGeneration:
    """A tower of few patches, so that the second reading stays affordable; everything else as the family has it."""
    folder = tmp_path_factory.mktemp(request.param)
    changes = {"plora_rank": 8} if request.param == "4khd-7b" else {}
    if request.param != "2-7b":  # which is told from 2-VL by its 224 px alone
        changes["image_px"] = 56
    write_checkpoint(folder / "in", request.param, seed=3, dtype=torch.float32, **changes)
    convert(folder / "in", folder / "out")
    loaded = load_model(folder / "out")
    assert loaded.config.family == request.param
    return loaded


@torch.no_grad()
def test_a_picture_in_text_by_the_second_reading(model: XComposerForConditionalGeneration) -> None:
    config = model.config
    grid = (1, 2) if config.separators else (0, 0)
    edge = config.vision_config.image_size
    tiles = torch.randn(3 if config.separators else 1, 3, edge, edge, generator=torch.Generator().manual_seed(1))
    vectors = picture_vectors(model, tiles, grid)
    words = torch.tensor([3, 7, 11, 5, 9])
    ids = torch.cat([words[:2], torch.full((len(vectors),), config.image_token_id), words[2:]])
    ours = model(ids[None], pixel_values=tiles, image_grids=torch.tensor([grid])).logits[0]
    embeds = model.model.tok_embeddings(ids)
    picture = ids == config.image_token_id
    embeds[picture] = vectors
    torch.testing.assert_close(ours, straight_line(model, embeds, picture), **WITHIN)
    without = model(ids[None, :2]).logits[0]
    assert not torch.allclose(ours[-1], without[-1]), "the picture has a say"


def test_what_sets_the_families_apart(model: XComposerForConditionalGeneration) -> None:
    config = model.config
    tiled = config.family in ("2d5-7b", "4khd-7b")
    assert (config.merge, config.separators) == ((2, True) if tiled else (1, False))
    assert (config.plora_scale or {})["wqkv"] == (2.0 if config.family == "4khd-7b" else 1.0)
    assert config.rope_factor == {"2d5-7b": 2.0, "4khd-7b": None, "2-vl-1.8b": 2.0}.get(config.family, 1.0)
    assert bool(config.adapter_rank) == (config.family == "2d5-7b")
