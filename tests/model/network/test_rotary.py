"""Rotary positions: the published bases beyond the trained length, and rotation that depends on distance alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from model.network.rotary import inverse_frequencies, rotary_base, rotary_table, rotated


@pytest.mark.parametrize(
    ("length", "base"),
    [(24_576, 1_000_000), (32_768, 1_680_236), (49_152, 3_052_774), (65_536, 4_435_375), (98_304, 7_219_586)],
)
def test_bases_of_the_published_lengths(length: int, base: int) -> None:
    assert round(rotary_base(1e6, 2.0, 128, 24_576, length)) == base


def test_without_a_factor_nothing_stretches_and_factor_one_stretches_in_proportion() -> None:
    assert rotary_base(1e6, None, 128, 32_768, 98_304) == 1e6
    assert rotary_base(1e6, 1.0, 128, 32_768, 65_536) == pytest.approx(1e6 * 2 ** (128 / 126))
    assert rotary_base(1e6, 1.0, 128, 32_768, 32_768) == 1e6


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 300))
def test_scores_depend_on_the_distance_alone(first: int, second: int, shift: int) -> None:
    frequencies = inverse_frequencies(1e4, 8).double()
    query, key = (torch.randn(1, 1, 1, 8, generator=torch.Generator().manual_seed(s)).double() for s in (1, 2))

    def turned(x: torch.Tensor, position: int) -> torch.Tensor:
        angles = torch.tensor([[position]])[:, None, :, None].double() * frequencies
        angles = torch.cat((angles, angles), -1)
        return rotated(x, angles.cos(), angles.sin())

    near = (turned(query, first) * turned(key, second)).sum()
    moved = (turned(query, first + shift) * turned(key, second + shift)).sum()
    assert float(near) == pytest.approx(float(moved), abs=1e-9)


def test_the_table_is_made_in_float32_whatever_it_is_kept_in() -> None:
    cos, sin = rotary_table(torch.tensor([[90_001]]), inverse_frequencies(1e6, 128), torch.bfloat16)
    exact, _ = rotary_table(torch.tensor([[90_001]]), inverse_frequencies(1e6, 128), torch.float32)
    assert cos.shape == sin.shape == (1, 1, 1, 128)
    assert (cos.float() - exact).abs().max() < 2**-8
