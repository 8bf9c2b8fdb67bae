"""The whole network works with what transformers' users expect: generate in all its forms, saving, training, PEFT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoConfig, AutoModelForImageTextToText, DynamicCache, TextIteratorStreamer

from interleaf.errors import PromptInvalid, PromptTooLong, WeightsUnusable
from model.network.tower import vector_count
from model.network.xcomposer import XComposerForConditionalGeneration
from model.weights.registration import register
from tests.model.tiny import PICTURE, tiny_config, tiny_model

WITHIN = {"atol": 2e-5, "rtol": 1e-4}
EDGE = 2  # merged patches along a tile of the tiny tower


@pytest.fixture(scope="module")
def model() -> XComposerForConditionalGeneration:
    return tiny_model()


def prompt(seed: int, parts: list[int | tuple[int, int]]) -> tuple[list[int], torch.Tensor, list[tuple[int, int]]]:
    """(ids, pixels, grids): a number stands for so many text tokens, a pair for a picture of such a grid."""
    generator = torch.Generator().manual_seed(seed)
    ids: list[int] = []
    grids = [part for part in parts if isinstance(part, tuple)]
    for part in parts:
        if isinstance(part, tuple):
            ids += [PICTURE] * vector_count(*part, EDGE)
        else:
            ids += torch.randint(3, 80, (part,), generator=generator).tolist()
    tiles = sum(rows * columns + 1 for rows, columns in grids)
    return ids, torch.randn(tiles, 3, 56, 56, generator=generator), grids


def batch_of(prompts: list[tuple[list[int], torch.Tensor, list[tuple[int, int]]]]) -> dict[str, Any]:
    longest = max(len(ids) for ids, _, _ in prompts)
    return {
        "input_ids": torch.tensor([[2] * (longest - len(ids)) + ids for ids, _, _ in prompts]),
        "attention_mask": torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids, _, _ in prompts]),
        "pixel_values": torch.cat([pixels for _, pixels, _ in prompts]),
        "image_grids": torch.tensor([grid for _, _, grids in prompts for grid in grids]),
    }


ONE = prompt(1, [3, (1, 2), 4])
TWO = prompt(2, [2, (1, 1), 1, (2, 1), 3])


@torch.no_grad()
def test_greedy_generation_is_repeated_forward(model: XComposerForConditionalGeneration) -> None:
    inputs = batch_of([ONE])
    ours = model.generate(**inputs, max_new_tokens=8, do_sample=False, eos_token_id=None)
    ids, total = inputs["input_ids"], inputs["input_ids"].shape[1] + 8
    for _ in range(8):
        logits = model(
            ids,
            pixel_values=inputs["pixel_values"],
            image_grids=inputs["image_grids"],
            use_cache=False,
            planned_length=total,
        ).logits
        ids = torch.cat([ids, logits[:, -1:].argmax(-1)], dim=1)
    assert ours.tolist() == ids.tolist()


@torch.no_grad()
@pytest.mark.parametrize("form", ["own", "dynamic", "static", "chunked", "eager", "beams", "none"])
def test_every_form_of_generation_gives_the_same_tokens(
    model: XComposerForConditionalGeneration, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch of two with pictures and padding; each sequence as if it were alone, whatever the cache."""
    used = tiny_model(attention="eager") if form == "eager" else model
    more: dict[str, Any] = {
        "own": {},
        "dynamic": {"past_key_values": DynamicCache(config=model.config)},
        "static": {"cache_implementation": "static", "disable_compile": True},
        "chunked": {"prefill_chunk_size": 5},
        "eager": {},
        "beams": {"num_beams": 3},
        "none": {"use_cache": False},
    }[form]
    length = max(len(ONE[0]), len(TWO[0])) + 6
    fixed = {"do_sample": False, "eos_token_id": None, "max_length": length}
    together = used.generate(**batch_of([ONE, TWO]), **fixed, **more)
    for i, one in enumerate((ONE, TWO)):
        beams = {"num_beams": 3} if form == "beams" else {}
        new = length - max(len(ONE[0]), len(TWO[0]))
        alone = model.generate(
            **batch_of([one]), do_sample=False, eos_token_id=None, max_new_tokens=new, planned_length=length, **beams
        )
        assert together[i, -new:].tolist() == alone[0, -new:].tolist()


@torch.no_grad()
def test_tasks_of_a_batch_stay_apart_also_with_beams(model: XComposerForConditionalGeneration) -> None:
    fixed: dict[str, Any] = {"max_new_tokens": 5, "do_sample": False, "eos_token_id": None}
    for beams in (1, 2):
        mixed = model.generate(**batch_of([ONE, ONE, ONE]), task=["base", "write", "web"], num_beams=beams, **fixed)
        alone = [
            model.generate(**batch_of([ONE]), task=task, num_beams=beams, **fixed)[0]
            for task in ("base", "write", "web")
        ]
        assert mixed.tolist() == [row.tolist() for row in alone]
        assert len({tuple(row.tolist()) for row in alone}) > 1


@torch.no_grad()
def test_generation_plans_its_length_and_earlier_prompts_have_no_say(model: XComposerForConditionalGeneration) -> None:
    short, _, _ = prompt(3, [6])
    ids = torch.tensor([short])
    fixed: dict[str, Any] = {"do_sample": False, "eos_token_id": None}
    before = model.generate(ids, max_new_tokens=4, **fixed)
    long_one = model.generate(ids, max_new_tokens=100, **fixed)
    assert model.generate(ids, max_new_tokens=4, **fixed).tolist() == before.tolist()
    again = model(long_one[:, :-1], planned_length=106, use_cache=False).logits.argmax(-1)
    assert again[0, 5:].tolist() == long_one[0, 6:].tolist(), "every token turned by the angles of the planned length"
    with pytest.raises(PromptTooLong, match="6 tokens and an answer up to 306"):
        model.generate(ids, max_new_tokens=300, **fixed)


@torch.no_grad()
def test_encoded_pictures_can_be_handed_over_again(model: XComposerForConditionalGeneration) -> None:
    inputs = batch_of([ONE, TWO])
    encoded = model.get_image_features(inputs.pop("pixel_values"), inputs.pop("image_grids"))
    plain = model(**batch_of([ONE, TWO])).logits
    torch.testing.assert_close(model(**inputs, mm_encoder_outputs={"image": encoded}).logits, plain)
    with pytest.raises(PromptInvalid, match="came together with encoded pictures"):
        model(**batch_of([ONE, TWO]), mm_encoder_outputs={"image": encoded})


@torch.no_grad()
@settings(max_examples=10)
@given(st.lists(st.sampled_from([1, 3, (1, 1), (1, 2), (2, 1)]), min_size=1, max_size=5), st.integers(0, 9))
def test_rows_of_pictures_follow_from_the_placeholders(parts: list[int | tuple[int, int]], seed: int) -> None:
    """Any mixture of words and pictures beside another one, padded: the same as alone."""
    model = tiny_model()
    one = prompt(seed, [1, *parts, 1])
    both = model(**batch_of([one, TWO])).logits
    alone = batch_of([one])
    if not one[2]:
        alone.pop("image_grids"), alone.pop("pixel_values")
    torch.testing.assert_close(both[0, -len(one[0]) :], model(**alone).logits[0], **WITHIN)


def test_pictures_and_placeholders_that_do_not_fit_are_refused(model: XComposerForConditionalGeneration) -> None:
    ids, pixels, grids = ONE
    with pytest.raises(PromptInvalid, match=r"pictures: have 17 vectors for 16 placeholders"):
        model(torch.tensor([ids[:3] + ids[4:]]), pixel_values=pixels, image_grids=torch.tensor(grids))
    with pytest.raises(PromptInvalid, match="Give one"):
        model()
    with pytest.raises(PromptInvalid, match="Give one"):
        model(torch.tensor([ids]), inputs_embeds=torch.zeros(1, 2, 32))


@torch.no_grad()
def test_only_the_wanted_logits_are_computed(model: XComposerForConditionalGeneration) -> None:
    inputs = batch_of([ONE, TWO])
    whole = model(**inputs).logits
    seen: list[tuple[int, ...]] = []
    hook = model.output.register_forward_hook(lambda _, given, __: seen.append(tuple(given[0].shape)))
    for keep, expected in ((1, whole[:, -1:]), (3, whole[:, -3:]), (torch.tensor([0, 5]), whole[:, [0, 5]])):
        torch.testing.assert_close(model(**inputs, logits_to_keep=keep).logits, expected, **WITHIN)
    hook.remove()
    assert seen == [(2, 1, 32), (2, 3, 32), (2, 2, 32)]


@torch.no_grad()
@pytest.mark.parametrize("padded", [False, True])
def test_a_decode_step_reads_nothing_back(model: XComposerForConditionalGeneration, padded: bool) -> None:
    """No step asks the device for a value: on tensors without data every such question would fail."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    ids, mask, tasks = torch.tensor([[5], [6]]), torch.ones(2, 10, dtype=torch.long), ["write", "base"]
    mask[0, : 3 * padded] = 0
    cache = model(torch.randint(3, 80, (2, 8)), attention_mask=mask[:, :8], task=tasks).past_key_values
    assert cache.padded is padded
    model(ids, attention_mask=mask[:, :9], past_key_values=cache, task=tasks)  # rows of tasks are brought once
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        step = model(mode.from_tensor(ids), attention_mask=mode.from_tensor(mask), past_key_values=cache, task=tasks)
    assert step.logits.shape == (2, 1, 97) and cache.get_seq_length() == 10
    with mode, pytest.raises(Exception, match=r"data-dependent|_local_scalar_dense"):
        bool(mode.from_tensor(mask).all())  # what the test would see


@torch.no_grad()
def test_words_stream_as_they_are_made(model: XComposerForConditionalGeneration) -> None:
    class Numbers:
        """The least that a streamer asks of a tokenizer."""

        def decode(self, ids: Any, **_: Any) -> str:
            return " ".join(str(int(i)) for i in ids) + "\n"

    streamer = TextIteratorStreamer(Numbers(), skip_prompt=True)  # type: ignore[arg-type]
    made = model.generate(
        torch.tensor([[4, 5, 6]]), max_new_tokens=5, do_sample=False, eos_token_id=None, streamer=streamer
    )
    assert "".join(streamer).split() == [str(i) for i in made[0, 3:].tolist()]


@torch.no_grad()
def test_saved_and_opened_again_by_the_auto_classes(model: XComposerForConditionalGeneration, tmp_path: Path) -> None:
    register()
    register()
    plain = tiny_model()
    for name in ("lora_sft", "lora_dpo", "lora_web"):
        plain.detach_adapter(name)
    plain.save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).to_dict()["model_type"] == "interleaf_xcomposer"
    opened, said = AutoModelForImageTextToText.from_pretrained(tmp_path, output_loading_info=True)
    assert type(opened) is XComposerForConditionalGeneration and opened.config._attn_implementation == "sdpa"
    assert not said["missing_keys"] and not said["unexpected_keys"]
    inputs = batch_of([ONE])
    assert torch.equal(opened.eval()(**inputs).logits, model(**inputs).logits)


def test_loss_is_the_shifted_cross_entropy(model: XComposerForConditionalGeneration) -> None:
    inputs = batch_of([ONE])
    labels = inputs["input_ids"].clone()
    labels[:, :-5] = -100
    found = model(**inputs, labels=labels)
    logits = found.logits[0, -6:-1]
    expected = torch.nn.functional.cross_entropy(logits, labels[0, -5:])
    torch.testing.assert_close(found.loss, expected)


def test_gradients_are_the_same_with_checkpointing() -> None:
    """Dropout is off, so that both runs draw nothing."""
    gradients = []
    for checkpointing in (False, True):
        model = tiny_model()
        for name in ("lora_sft", "lora_dpo", "lora_web"):
            model.detach_adapter(name)
        if checkpointing:
            model.activation_checkpointing_enable()
        model.train()
        for module in model.modules():
            if type(module).__name__ == "PartialLoraLinear":
                module.training = False
        inputs = batch_of([ONE])
        model(**inputs, labels=inputs["input_ids"], use_cache=False).loss.backward()
        gradients.append({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys() and len(gradients[0]) > 40
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, **WITHIN)


def test_peft_teaches_it() -> None:
    """A LoRA over the published targets starts as nothing, learns, and leaves the rest alone."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    model = tiny_model()
    inputs = batch_of([ONE, TWO])
    before = model(**inputs).logits
    targets = ["attention.wqkv", "attention.wo", "feed_forward.w1", "feed_forward.w2", "feed_forward.w3"]
    taught: Any = get_peft_model(model, LoraConfig(r=4, lora_alpha=4, target_modules=targets))
    torch.testing.assert_close(taught(**inputs).logits, before, **WITHIN)
    trained = [p for p in taught.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.02)
    losses = []
    for _ in range(12):
        loss = taught(**inputs, labels=inputs["input_ids"], use_cache=False).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]
    assert all("lora_A" in n or "lora_B" in n for n, p in taught.named_parameters() if p.requires_grad)


def test_adapters_come_also_after_peft_has_wrapped_the_linears(model: XComposerForConditionalGeneration) -> None:
    from peft import LoraConfig, get_peft_model

    fresh, ids = tiny_model(), torch.tensor([[3, 4, 5]])
    weights = {n: p.detach() for n, p in fresh.named_parameters() if "lora_web" in n}
    fresh.detach_adapter("lora_web")
    get_peft_model(fresh, LoraConfig(r=2, target_modules=["attention.wqkv", "feed_forward.w2"]))
    fresh.attach_adapter("lora_web", weights)
    torch.testing.assert_close(fresh(ids, task="web").logits, model(ids, task="web").logits, **WITHIN)


def test_an_adapter_that_lacks_a_tensor_changes_nothing(model: XComposerForConditionalGeneration) -> None:
    fresh = tiny_model()
    weights = {n: p.detach() for n, p in fresh.named_parameters() if "lora_web" in n}
    fresh.detach_adapter("lora_web")
    missing = dict(list(weights.items())[:-1])
    with pytest.raises(WeightsUnusable, match="lacks 1 of its tensors"):
        fresh.attach_adapter("lora_web", missing)
    with pytest.raises(WeightsUnusable, match="Take the adapters of the same checkpoint"):
        fresh.attach_adapter("lora_web", {n: w[:, :1] if n.endswith("_A.weight") else w for n, w in weights.items()})
    assert not any("lora_web" in n for n, _ in fresh.named_parameters())
    fresh.attach_adapter("lora_web", weights)
    assert torch.equal(
        fresh(torch.tensor([[3, 4]]), task="web").logits, model(torch.tensor([[3, 4]]), task="web").logits
    )


def test_a_fresh_network_has_low_rank_paths_that_add_nothing() -> None:
    model = XComposerForConditionalGeneration(tiny_config())
    ups = [p for n, p in model.named_parameters() if n.endswith("Plora_B.weight")]
    assert len(ups) == 10 and all(not p.any() for p in ups)
    assert all(bool(p.eq(1).all()) for n, p in model.named_parameters() if n.endswith("ffn_norm.weight"))


@torch.no_grad()
def test_hidden_states_and_attentions_can_be_asked_for() -> None:
    model = tiny_model(attention="eager")
    inputs = batch_of([ONE])
    length = inputs["input_ids"].shape[1]
    found = model(**inputs, output_hidden_states=True, output_attentions=True)
    assert [tuple(h.shape) for h in found.hidden_states] == [(1, length, 32)] * 3
    assert [tuple(a.shape) for a in found.attentions] == [(1, 4, length, length)] * 2
    torch.testing.assert_close(found.attentions[0].sum(-1), torch.ones(1, 4, length))
    torch.testing.assert_close(model.output(model.model.norm(found.hidden_states[-1])), found.logits, **WITHIN)


def test_what_reading_has_made_does_not_hinder_teaching() -> None:
    model, ids = tiny_model(), torch.tensor([[3, 4, 5], [6, 7, 8]])
    with torch.inference_mode():
        model(ids, task=["write", "base"])
    model(ids, task=["write", "base"], use_cache=False, labels=ids).loss.backward()
