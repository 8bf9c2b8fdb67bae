"""Features are computed once for each content, stay within their bytes, and are what the network computes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.inference.features import FeatureCache
from tests.model.tiny import tiny_model


@dataclass(frozen=True)
class Prepared:
    key: str
    tiles: torch.Tensor
    grid: tuple[int, int] = (1, 1)


def prepared(number: int) -> Prepared:
    return Prepared(f"picture-{number}", torch.full((2, 3, 4, 4), float(number)))


class Counting:
    """Encodes a picture to four vectors of its first pixel; counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, tiles: torch.Tensor, grids: Sequence[tuple[int, int]]) -> list[torch.Tensor]:
        self.asked.append(len(grids))
        return [torch.full((4, 2), float(tiles[2 * i, 0, 0, 0])) for i in range(len(grids))]


SIZE = 4 * 2 * 4  # bytes of one picture's vectors here


@given(st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=8), st.integers(0, 6))
def test_always_the_right_vectors_within_the_bytes(calls: list[list[int]], room: int) -> None:
    encode = Counting()
    cache = FeatureCache(encode, room * SIZE + 3)
    for numbers in calls:
        found = cache.features([prepared(n) for n in numbers])
        assert [float(f[0, 0]) for f in found] == [float(n) for n in numbers]
        assert cache.bytes_kept == len(cache) * SIZE <= room * SIZE
    assert cache.encoded == sum(encode.asked) and cache.encoded + cache.reused == sum(map(len, calls))


def test_new_ones_are_encoded_together_and_old_ones_not_at_all() -> None:
    encode = Counting()
    cache = FeatureCache(encode)
    cache.features([prepared(1), prepared(2), prepared(1)])
    cache.features([prepared(2), prepared(3), prepared(1)])
    assert encode.asked == [2, 1]
    cache.clear()
    assert len(cache) == cache.bytes_kept == 0


def test_the_one_longest_unused_leaves_first() -> None:
    encode = Counting()
    cache = FeatureCache(encode, 2 * SIZE)
    for number in (1, 2, 1, 3, 1):
        cache.features([prepared(number)])
    assert sum(encode.asked) == 3
    cache.features([prepared(2)])
    assert sum(encode.asked) == 4


def test_a_failed_encoding_keeps_nothing() -> None:
    def broken(tiles: torch.Tensor, grids: Sequence[tuple[int, int]]) -> list[torch.Tensor]:
        raise RuntimeError("no memory")

    cache = FeatureCache(broken)
    with pytest.raises(RuntimeError, match="no memory"):
        cache.features([prepared(1)])
    assert len(cache) == cache.encoded == 0


def test_threads_encode_each_picture_once() -> None:
    encode = Counting()
    cache = FeatureCache(encode)
    threads = [threading.Thread(target=lambda: cache.features([prepared(n) for n in range(5)])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(encode.asked) == 5 and cache.reused == 35


@torch.no_grad()
def test_kept_vectors_give_the_logits_of_fresh_pixels() -> None:
    from transformers.modeling_outputs import BaseModelOutputWithPooling

    model = tiny_model()
    torch.manual_seed(0)
    picture = Prepared("a", torch.randn(3, 3, 56, 56), (1, 2))
    cache = FeatureCache(lambda tiles, grids: model.get_image_features(tiles, grids).pooler_output)
    ids = torch.tensor([[3, *[model.config.image_token_id] * 17, 4]])
    fresh = model(ids, pixel_values=picture.tiles, image_grids=torch.tensor([picture.grid])).logits
    for _ in range(2):
        kept = BaseModelOutputWithPooling(pooler_output=cache.features([picture]))
        torch.testing.assert_close(model(ids, mm_encoder_outputs={"image": kept}).logits, fresh)
    assert (cache.encoded, cache.reused) == (1, 1)
