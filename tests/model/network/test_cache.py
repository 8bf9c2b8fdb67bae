"""The cache holds what transformers' own holds, through growing, cropping, reordering and repeating."""

from __future__ import annotations

import torch
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from transformers import DynamicCache

from model.network.cache import LengthCache, LengthLayer


class SameAsDynamic(RuleBasedStateMachine):
    """Every operation on both; after each, what attention would see is the same."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(0)
        self.ours, self.theirs, self.batch = LengthCache(1, 4), DynamicCache(), 2
        self.seen: tuple[torch.Tensor, torch.Tensor] | None = None
        self.true: tuple[torch.Tensor, torch.Tensor] | None = None

    @rule(count=st.integers(1, 6))
    def append(self, count: int) -> None:
        keys = torch.randn(self.batch, 2, count, 3, generator=self.generator)
        values = torch.randn(self.batch, 2, count, 3, generator=self.generator)
        self.seen, self.true = self.ours.update(keys, values, 0), self.theirs.update(keys, values, 0)

    @precondition(lambda self: self.theirs.get_seq_length() > 2)
    @rule(count=st.integers(1, 2))
    def crop(self, count: int) -> None:
        self.ours.crop(-count)
        self.theirs.crop(-count)

    @precondition(lambda self: self.seen is not None)
    @rule(data=st.data())
    def reorder(self, data: st.DataObject) -> None:
        order = torch.tensor(
            data.draw(st.lists(st.integers(0, self.batch - 1), min_size=self.batch, max_size=self.batch))
        )
        self.ours.reorder_cache(order)
        self.theirs.reorder_cache(order)

    @precondition(lambda self: self.seen is not None and self.batch < 5)
    @rule()
    def repeat(self) -> None:
        self.ours.batch_repeat_interleave(2)
        self.theirs.batch_repeat_interleave(2)
        self.batch *= 2

    @precondition(lambda self: self.seen is not None and self.batch > 1)
    @rule()
    def select(self) -> None:
        kept = torch.tensor([self.batch - 1])
        self.ours.batch_select_indices(kept)
        self.theirs.batch_select_indices(kept)
        self.batch = 1

    @precondition(lambda self: self.seen is not None)
    @rule()
    def reset(self) -> None:
        self.ours.reset()
        self.theirs, self.seen = DynamicCache(), None
        assert self.ours.get_seq_length() == 0

    @invariant()
    def same(self) -> None:
        assert self.ours.get_seq_length() == self.theirs.get_seq_length()
        layer = self.ours.layers[0]
        if self.seen is not None and self.theirs.get_seq_length():
            assert torch.equal(layer.keys[:, :, : layer.length], self.theirs.layers[0].keys)
            assert torch.equal(layer.values[:, :, : layer.length], self.theirs.layers[0].values)


TestSameAsDynamic = SameAsDynamic.TestCase
TestSameAsDynamic.settings = settings(max_examples=40, stateful_step_count=15)


def test_a_step_writes_in_place_and_returns_a_view_however_large_the_room() -> None:
    layer = LengthLayer(10_000)
    layer.update(torch.zeros(1, 2, 5, 4), torch.zeros(1, 2, 5, 4))
    held = layer.keys
    keys, _ = layer.update(torch.ones(1, 2, 1, 4), torch.ones(1, 2, 1, 4))
    assert layer.keys is held and keys.data_ptr() == held.data_ptr() and keys.shape == (1, 2, 6, 4)


def test_room_doubles_so_that_growing_costs_the_same_for_each_token() -> None:
    layer, rooms = LengthLayer(4), []
    for _ in range(100):
        layer.update(torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 1, 2))
        rooms.append(layer.capacity)
    assert sorted(set(rooms)) == [4, 8, 16, 32, 64, 128]


def test_what_sequences_have_already_comes_before_and_ends_at_one_place() -> None:
    def drawn(count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return [(torch.randn(2, count, 3), torch.randn(2, count, 3)) for _ in range(2)]

    first, second, third = drawn(4), drawn(2), drawn(3)
    cache = LengthCache(2, 5)
    cache.begin([[first], [second, third], []])
    cache.update(torch.ones(3, 2, 2, 3), torch.ones(3, 2, 2, 3), 1)
    for layer in range(2):
        for which in range(2):
            (a,), (b, c) = [first[layer][which]], [second[layer][which], third[layer][which]]
            assert torch.equal(cache.part(0, 1)[layer][which][:, :4], a)
            assert torch.equal(cache.part(1, 0)[layer][which][:, :5], torch.cat([b, c], dim=1))
            assert not cache.part(0, 0)[layer][which][:, :1].any() and not cache.part(2, 0)[layer][which][:, :5].any()
    assert cache.layers[0].get_seq_length() == 5 and cache.part(1, 5)[1][0].tolist() == torch.ones(2, 2, 3).tolist()
