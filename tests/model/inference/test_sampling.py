"""A request's tokens are chosen as transformers would, by its own generator, whatever else is in the batch."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LogitsProcessorList
from transformers.generation import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from interleaf.errors import ModelError
from model.inference.engine import Sampling
from model.inference.sampling import Chooser, greedy

WIDTH = 40
LOGITS = st.lists(st.floats(-30, 30, width=32) | st.just(-math.inf), min_size=WIDTH, max_size=WIDTH).filter(
    lambda row: max(row) > -math.inf
)
SAMPLINGS = st.builds(
    Sampling,
    do_sample=st.just(True),
    temperature=st.sampled_from([0.05, 0.7, 1.0, 3.0]),
    top_k=st.sampled_from([0, 1, 5, 39, 40, 1_000]),
    top_p=st.sampled_from([1e-6, 0.3, 0.8, 0.95, 1.0]),
    repetition_penalty=st.sampled_from([1.0, 1.005, 2.0, 0.5]),
    seed=st.integers(0, 2**63 - 1),
)
IDS = st.lists(st.integers(0, WIDTH - 1), max_size=12)


def theirs(sampling: Sampling, ids: list[int], row: torch.Tensor) -> torch.Tensor:
    """Logits after transformers' processors, in the order of its `generate`."""
    processors = LogitsProcessorList()
    if sampling.repetition_penalty != 1.0 and ids:
        processors.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    if sampling.temperature != 1.0:
        processors.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        processors.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        processors.append(TopPLogitsWarper(sampling.top_p))
    return processors(torch.tensor([ids], dtype=torch.long), row[None].clone())[0]


@given(SAMPLINGS, IDS, LOGITS)
@settings(max_examples=400, deadline=None)
def test_the_same_tokens_with_the_same_probabilities_are_left(
    sampling: Sampling, ids: list[int], logits: list[float]
) -> None:
    row = torch.tensor(logits)
    expected = theirs(sampling, ids, row).double().softmax(-1)
    kept, probabilities = Chooser(sampling, ids).kept(row)
    # Of equal logits at the border of top-p, an unstable sort may keep another one: values are held side by side.
    left = expected[expected > 0].sort().values
    ours = probabilities[probabilities > 0].sort().values
    assert len(left) == len(ours)
    assert torch.allclose(left, ours, atol=1e-6)
    assert torch.allclose(expected[kept], probabilities, atol=1e-6) or len(set(logits)) < WIDTH


@given(SAMPLINGS, IDS, LOGITS)
@settings(max_examples=200, deadline=None)
def test_greedy_takes_the_largest_after_the_penalty(sampling: Sampling, ids: list[int], logits: list[float]) -> None:
    row, plain = torch.tensor(logits), Sampling(repetition_penalty=sampling.repetition_penalty)
    expected = theirs(plain, ids, row)
    assert expected[Chooser(plain, ids).choose(row)] == expected.max()
    assert torch.tensor(logits).equal(row), "logits stay as they are"


@given(SAMPLINGS, st.lists(LOGITS, min_size=1, max_size=4), IDS)
@settings(max_examples=100, deadline=None)
def test_a_seed_decides_alone_and_global_state_is_untouched(
    sampling: Sampling, rows: list[list[float]], ids: list[int]
) -> None:
    before = torch.random.get_rng_state()
    one, other = Chooser(sampling, ids), Chooser(sampling, ids)
    first = [one.choose(torch.tensor(row)) for row in rows]
    torch.manual_seed(1)
    torch.rand(7)
    Chooser(Sampling(do_sample=True, seed=3), ()).choose(torch.zeros(WIDTH))
    second = [other.choose(torch.tensor(row)) for row in rows]
    assert first == second
    assert all(rows[i][token] > -math.inf for i, token in enumerate(first))
    torch.random.set_rng_state(before)
    Chooser(sampling, ids).choose(torch.tensor(rows[0]))
    assert torch.random.get_rng_state().equal(before)


def test_draws_follow_the_probabilities() -> None:
    row = torch.tensor([0.5, 0.0, 0.3, 0.2]).log()
    chooser = Chooser(Sampling(do_sample=True, seed=11), ())
    drawn = Counter(chooser.choose(row) for _ in range(4_000))
    assert set(drawn) == {0, 2, 3}
    for token, share in ((0, 0.5), (2, 0.3), (3, 0.2)):
        assert abs(drawn[token] / 4_000 - share) < 0.03
    seeds = {Chooser(Sampling(do_sample=True, seed=seed), ()).choose(row) for seed in range(40)}
    assert seeds == {0, 2, 3}, "another seed draws another number"


def test_what_was_chosen_is_penalized_and_placeholders_are_not() -> None:
    row = torch.tensor([4.0, 3.0, -1.0])
    chooser = Chooser(Sampling(repetition_penalty=2.0), (1, 1, 9, -5))
    assert [chooser.choose(row) for _ in range(2)] == [0, 0]
    assert torch.allclose(chooser.kept(row)[1], torch.tensor([2.0, 1.5, -1.0]).double().softmax(-1))
    untouched = Chooser(Sampling(repetition_penalty=2.0), (0, 0, 1), left_out={0})
    assert [untouched.choose(row) for _ in range(3)] == [0, 0, 0]
    assert torch.allclose(untouched.kept(row)[1], torch.tensor([4.0, 1.5, -1.0]).double().softmax(-1))


def test_rows_of_a_batch_at_once() -> None:
    rows = torch.tensor([[1.0, 5.0, 5.0], [-math.inf, -math.inf, -3.0], [0.0, 0.0, 0.0]])
    assert greedy(rows).tolist() == [1, 2, 0] == [Chooser(Sampling(), ()).choose(row) for row in rows]


@pytest.mark.parametrize("value", [math.nan, -math.inf, math.inf])
@pytest.mark.parametrize("do_sample", [False, True])
def test_numbers_that_overflowed_are_an_error(value: float, do_sample: bool) -> None:
    with pytest.raises(ModelError, match=r"logits: have .*float32"):
        Chooser(Sampling(do_sample=do_sample), ()).choose(torch.full((8,), value))
    with pytest.raises(ModelError):
        greedy(torch.stack([torch.zeros(8), torch.full((8,), value)]))
