"""Partial LoRA: picture rows and nothing else, adapters by row, and merging that changes nothing but speed."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interleaf.errors import Unsupported, WeightsUnusable
from model.network.plora import PartialLoraLinear, Rows, merged


def drawn(seed: int = 0, rank: int = 3, scale: float = 1.0) -> PartialLoraLinear:
    torch.manual_seed(seed)
    linear = PartialLoraLinear(5, 7, rank, scale)
    linear.attach("lora_web", torch.randn(2, 5), torch.randn(7, 2))
    return linear.eval()


@torch.no_grad()
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=12), st.sampled_from([1.0, 2.0]))
def test_each_row_gets_its_own_paths(kinds: list[tuple[bool, bool]], scale: float) -> None:
    linear, x = drawn(scale=scale), torch.randn(1, len(kinds), 5, generator=torch.Generator().manual_seed(1))
    rows = Rows(
        torch.tensor([i for i, (picture, _) in enumerate(kinds) if picture], dtype=torch.long),
        (("lora_web", torch.tensor([i for i, (_, web) in enumerate(kinds) if web], dtype=torch.long)),),
    )
    found = linear(x, rows)[0]
    for i, (picture, web) in enumerate(kinds):
        expected = linear.weight @ x[0, i]
        if picture:
            expected = expected + scale * (linear.Plora_B.weight @ (linear.Plora_A.weight @ x[0, i]))
        if web:
            expected = expected + linear.lora_web_B.weight @ (linear.lora_web_A.weight @ x[0, i])
        torch.testing.assert_close(found[i], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_text_alone_never_touches_the_low_rank_matrices() -> None:
    linear, x = drawn(), torch.randn(2, 4, 5)
    linear.Plora_A.weight.fill_(float("nan"))
    assert torch.equal(linear(x), torch.nn.functional.linear(x, linear.weight))
    assert torch.equal(linear(x, Rows()), linear(x))
    mixed = linear(x, Rows(torch.tensor([3])))
    assert torch.isfinite(mixed.view(8, 7)[[0, 1, 2, 4, 5, 6, 7]]).all() and mixed.view(8, 7)[3].isnan().all()


@torch.no_grad()
def test_merged_weights_compute_what_the_adapter_adds() -> None:
    linear, x = drawn(), torch.randn(3, 5)
    pairs = {"lora_web": (linear.lora_web_A.weight, linear.lora_web_B.weight)}
    whole = torch.nn.functional.linear(x, merged(linear.weight, pairs))
    torch.testing.assert_close(linear(x, Rows(adapters=(("lora_web", None),))), whole, atol=1e-5, rtol=1e-5)
    assert merged(linear.weight.bfloat16(), pairs).dtype == torch.bfloat16


def test_gradients_reach_the_picture_path_through_picture_rows_only() -> None:
    linear, x = drawn(), torch.randn(4, 5)
    linear(x, Rows(torch.tensor([2]))).sum().backward()
    assert linear.Plora_A.weight.grad is not None
    inner = linear.Plora_A(x[2])
    torch.testing.assert_close(linear.Plora_B.weight.grad, inner.detach().expand(7, 3), atol=1e-5, rtol=1e-5)


def test_while_training_some_of_the_picture_path_is_dropped() -> None:
    linear, x, rows = drawn(), torch.ones(400, 5), Rows(torch.arange(400))
    torch.manual_seed(0)
    assert not torch.equal(linear.train()(x, rows), linear.eval()(x, rows))


def test_adapters_that_do_not_fit_are_refused_and_can_be_let_go() -> None:
    linear = drawn()
    with pytest.raises(WeightsUnusable, match=r"A \(2, 6\) and B \(7, 2\) for a linear of 5 to 7"):
        linear.attach("lora_dpo", torch.zeros(2, 6), torch.zeros(7, 2))
    linear.detach_adapter("lora_web")
    linear.detach_adapter("lora_web")
    assert not any("lora" in name for name, _ in linear.named_parameters() if "Plora" not in name)
    with pytest.raises(Unsupported, match="is not loaded; loaded are none"):
        linear(torch.zeros(1, 5), Rows(adapters=(("lora_web", None),)))
