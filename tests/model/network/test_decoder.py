"""The decoder is the published network: held against Llama on text, and against a second reading with pictures."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache, StaticCache

from interleaf.errors import PromptTooLong, Unsupported
from model.network.cache import LengthCache
from model.network.config import ADAPTERS_OF_TASK
from model.network.decoder import Decoder
from model.network.xcomposer import XComposerForConditionalGeneration
from tests.model.tiny import llama_of, straight_line, tiny_model

WITHIN = {"atol": 3e-5, "rtol": 2e-4}


@pytest.fixture(scope="module")
def model() -> XComposerForConditionalGeneration:
    return tiny_model()


def drawn_ids(seed: int, *shape: int) -> torch.Tensor:
    return torch.randint(3, 80, shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
@settings(max_examples=15)
@given(
    st.sampled_from([(4, 2), (4, 4), (6, 1), (8, 2), (2, 1)]),
    st.sampled_from([4, 8, 16]),
    st.integers(1, 3),
    st.integers(8, 40),
    st.integers(1, 30),
)
def test_text_is_what_transformers_llama_computes(
    heads: tuple[int, int], width: int, layers: int, inner: int, length: int
) -> None:
    """To 1e-5 in float32, whatever the sizes of network and prompt."""
    model = tiny_model(
        seed=layers,
        num_hidden_layers=layers,
        num_attention_heads=heads[0],
        num_key_value_heads=heads[1],
        hidden_size=width * heads[0],
        intermediate_size=inner,
    )
    ids = drawn_ids(layers, 2, length)
    truth = llama_of(model)(ids).logits
    # Wide networks with these weights give logits of eight and more; an error of float32 grows with them.
    assert float((model(ids).logits - truth).abs().max()) < 1e-5 * max(1.0, float(truth.abs().max()))


@torch.no_grad()
@settings(max_examples=12)
@given(
    st.integers(1, 9).flatmap(lambda n: st.lists(st.booleans(), min_size=n, max_size=n)),
    st.sampled_from(["base", "write", "web"]),
    st.integers(0, 3),
)
def test_pictures_and_tasks_are_what_the_formulas_say(mask: list[bool], task: Any, seed: int) -> None:
    model = tiny_model(seed, plora_scale={"wqkv": 2.0})
    embeds = torch.randn(len(mask), 32, generator=torch.Generator().manual_seed(seed))
    picture = torch.tensor(mask)
    ours = model(inputs_embeds=embeds[None], picture_mask=picture[None], task=task).logits[0]
    torch.testing.assert_close(ours, straight_line(model, embeds, picture, ADAPTERS_OF_TASK[task]), **WITHIN)


@torch.no_grad()
def test_beyond_the_trained_length_positions_stretch_by_the_planned_length(
    model: XComposerForConditionalGeneration,
) -> None:
    embeds, none = torch.randn(5, 32), torch.zeros(5, dtype=torch.bool)
    for planned in (64, 65, 200):
        ours = model(inputs_embeds=embeds[None], planned_length=planned).logits[0]
        torch.testing.assert_close(ours, straight_line(model, embeds, none, planned_length=planned), **WITHIN)
    both = model(inputs_embeds=torch.stack([embeds, embeds]), planned_length=[64, 200]).logits
    for row, planned in zip(both, (64, 200), strict=True):
        torch.testing.assert_close(row, straight_line(model, embeds, none, planned_length=planned), **WITHIN)
    short, _ = model(inputs_embeds=embeds[None]).logits, model(inputs_embeds=embeds[None], planned_length=256)
    assert torch.equal(short, model(inputs_embeds=embeds[None]).logits), "no request remembers an earlier one"


@torch.no_grad()
@settings(max_examples=25)
@given(st.data())
def test_cached_in_any_pieces_is_the_same_as_whole(data: st.DataObject) -> None:
    """Pieces of any sizes, with left padding, pictures and tasks mixed in a batch, through each kind of cache."""
    model = tiny_model(1)
    batch, length = data.draw(st.integers(1, 3)), data.draw(st.integers(2, 40))
    cuts = sorted(data.draw(st.sets(st.integers(1, length - 1), max_size=4)) | {0, length})
    pads = data.draw(st.lists(st.integers(0, length - 1), min_size=batch, max_size=batch))
    tasks = data.draw(st.lists(st.sampled_from(["base", "write", "web"]), min_size=batch, max_size=batch))
    kind = data.draw(st.sampled_from(["own", "dynamic", "static"]))
    generator = torch.Generator().manual_seed(length)
    embeds = torch.randn(batch, length, 32, generator=generator)
    picture = torch.rand(batch, length, generator=generator) < 0.3
    attention = torch.ones(batch, length, dtype=torch.long)
    for b, pad in enumerate(pads):
        attention[b, :pad] = 0
    cache: Any = LengthCache(2, 3) if kind == "own" else DynamicCache(config=model.config)
    if kind == "static":
        cache = StaticCache(config=model.config, max_cache_len=length + 5)
    pieces = []
    for start, end in pairwise(cuts):
        pieces.append(
            model(
                inputs_embeds=embeds[:, start:end],
                picture_mask=picture[:, start:end],
                attention_mask=attention[:, :end],
                past_key_values=cache,
                task=tasks,
                planned_length=length,
            ).logits
        )
    ours = torch.cat(pieces, dim=1)
    for b, pad in enumerate(pads):
        alone = model(
            inputs_embeds=embeds[b : b + 1, pad:],
            picture_mask=picture[b : b + 1, pad:],
            task=tasks[b],
            planned_length=length,
        ).logits[0]
        torch.testing.assert_close(ours[b, pad:], alone, **WITHIN)


@torch.no_grad()
def test_a_long_prompt_in_chunks_is_the_same_and_makes_no_square_mask(
    model: XComposerForConditionalGeneration, monkeypatch: pytest.MonkeyPatch
) -> None:
    import model.network.decoder as module

    ids = drawn_ids(5, 2, 61)
    attention = torch.ones_like(ids)
    attention[1, :7] = 0
    whole = model(ids, attention_mask=attention, use_cache=False).logits
    made: list[tuple[int, ...]] = []

    def watched(*args: Any) -> Any:
        mask = true_mask(*args)
        made.append(() if mask is None else tuple(mask.shape))
        return mask

    true_mask = module.causal_mask
    monkeypatch.setattr(module, "causal_mask", watched)
    monkeypatch.setattr(model.model, "prefill_chunk", 16)
    for use_cache in (True, False):
        ours = model(ids, attention_mask=attention, use_cache=use_cache).logits
        torch.testing.assert_close(ours[0], whole[0], **WITHIN)
        torch.testing.assert_close(ours[1, 7:], whole[1, 7:], **WITHIN)
    assert made == [(2, 1, 16, 16), (2, 1, 16, 32), (2, 1, 16, 48), (2, 1, 13, 61)] * 2
    made.clear()
    last = model(ids[:1], logits_to_keep=1).logits
    assert made == [(), (1, 1, 16, 32), (1, 1, 16, 48), (1, 1, 13, 61)], "without padding the first chunk has none"
    torch.testing.assert_close(last[:, -1], whole[:1, -1], **WITHIN)


@torch.no_grad()
def test_implementations_of_attention_agree(model: XComposerForConditionalGeneration) -> None:
    ids = drawn_ids(6, 2, 17)
    attention = torch.ones_like(ids)
    attention[0, :5] = 0
    ours = model(ids, attention_mask=attention).logits
    eager = tiny_model(attention="eager")(ids, attention_mask=attention).logits
    torch.testing.assert_close(ours[1], eager[1], **WITHIN)
    torch.testing.assert_close(ours[0, 5:], eager[0, 5:], **WITHIN)


@torch.no_grad()
@pytest.mark.parametrize("seed", [0, 1])
def test_bfloat16_stays_as_near_to_float32_as_transformers_does(seed: int) -> None:
    """Mean distance of the logits in parts of their spread: on text no more than Llama's own, with pictures and an
    adapter (more sums, each rounded to eight bits) under 3 %."""
    exact, rough, ids = tiny_model(seed), tiny_model(seed, dtype=torch.bfloat16), drawn_ids(seed, 2, 40)

    def distance(found: torch.Tensor, truth: torch.Tensor) -> float:
        return float(((found.float() - truth).abs() / truth.std()).mean())

    theirs = distance(llama_of(rough)(ids).logits, llama_of(exact)(ids).logits)
    assert distance(rough(ids).logits, exact(ids).logits) < 1.2 * theirs < 0.03
    torch.manual_seed(seed)
    embeds, mask = torch.randn(2, 40, 32), torch.rand(2, 40) < 0.4
    truth = exact(inputs_embeds=embeds, picture_mask=mask, task="write").logits
    found = rough(inputs_embeds=embeds.bfloat16(), picture_mask=mask, task="write").logits
    assert found.dtype == torch.float32 and distance(found, truth) < 0.03


@torch.no_grad()
def test_compiled_is_eager(model: XComposerForConditionalGeneration) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(model.model, dynamic=True)
    embeds = torch.randn(2, 12, 32)
    whole = model.model(embeds, tasks=["write", "web"])
    cache = LengthCache(2, 16)
    parts = [
        compiled(embeds[:, start:end], tasks=["write", "web"], past_key_values=cache)
        for start, end in ((0, 7), (7, 8), (8, 9), (9, 10), (10, 12))
    ]
    torch.testing.assert_close(torch.cat(parts, 1), whole, **WITHIN)


@torch.no_grad()
@pytest.mark.slow
def test_a_decode_step_over_a_static_cache_compiles_into_one_graph(model: XComposerForConditionalGeneration) -> None:
    torch._dynamo.reset()
    ids, caches = drawn_ids(7, 2, 8), [StaticCache(config=model.config, max_cache_len=32) for _ in range(2)]
    for cache in caches:
        model(ids, past_key_values=cache)
    step = torch.compile(model.forward, fullgraph=True)
    for number in range(3):
        token = torch.tensor([[4 + number], [9 + number]])
        compiled = step(token, past_key_values=caches[0], task="write", planned_length=32).logits
        plain = model(token, past_key_values=caches[1], task="write", planned_length=32).logits
        torch.testing.assert_close(compiled, plain, **WITHIN)


def test_what_does_not_fit_the_context_is_refused_with_the_lengths(model: XComposerForConditionalGeneration) -> None:
    with pytest.raises(PromptTooLong, match=r"257 tokens and an answer up to 257 in all do not fit into 256"):
        model(drawn_ids(1, 1, 257))
    with pytest.raises(PromptTooLong, match=r"10 tokens and an answer up to 300"):
        model(drawn_ids(1, 1, 10), planned_length=300)


def test_unknown_tasks_and_missing_adapters_are_refused(model: XComposerForConditionalGeneration) -> None:
    ids = drawn_ids(1, 2, 3)
    with pytest.raises(Unsupported, match="'poem' is not known"):
        model(ids, task="poem")
    with pytest.raises(Unsupported, match="3 tasks came for 2 sequences"):
        model(ids, task=["base", "web", "write"])
    bare = tiny_model()
    bare.detach_adapter("lora_web")
    with pytest.raises(Unsupported, match="lora_web: is not loaded; loaded are lora_sft, lora_dpo"):
        bare(ids, task="web")
    merged = tiny_model(merged_task="write")
    merged(ids, task="write")
    with pytest.raises(Unsupported, match="'base' cannot be done by a checkpoint into which 'write' was merged"):
        merged(ids)


def test_text_rows_take_no_part_in_the_picture_path(model: XComposerForConditionalGeneration) -> None:
    """Neither in the forward nor in its gradients: without pictures the low-rank matrices get none."""
    fresh = tiny_model(4).train()
    fresh(drawn_ids(2, 1, 9), use_cache=False).logits.sum().backward()
    assert all(p.grad is None for n, p in fresh.named_parameters() if "Plora" in n)
    assert isinstance(fresh.model, Decoder)
