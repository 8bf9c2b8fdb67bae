"""Tiny chat models with eyes of other families: random weights from their configs, a vocabulary trained on the spot,
templates of the families' shapes; in memory, and as folders like the published ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoModelForImageTextToText, PreTrainedTokenizerFast
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from model.prompts.foreign_processor import open_processor
from tests.model.small_vocabulary import TEXT

FAMILIES = ("llava", "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "smolvlm", "internvl")
CONTEXT = 2_048

# A turn in ChatML; PICTURE is how the family writes the place of one.
_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for part in m.content %}{% if part.type == 'image' %}PICTURE{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# SmolVLM begins once, names the sides in words, and writes a blank after the colon only where words come first.
_SMOL = (
    "<|im_start|>{% for m in messages %}{{ m.role | capitalize }}"
    "{% if m.content[0].type == 'image' %}:{% else %}: {% endif %}"
    "{% for part in m.content %}{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}{% endfor %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
_QWEN_PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"


def tiny_vlm(family: str, folder: Path, seed: int = 0) -> tuple[Any, Any]:
    """(model, processor) of a family, with random weights; its files as published go into `folder`."""
    torch.manual_seed(seed)
    model = _network(family, _write_processor(family, folder))
    model.generation_config.save_pretrained(folder)
    model.save_pretrained(folder)
    return model.train(False), open_processor(folder, model.config)


def _write_processor(family: str, folder: Path) -> PreTrainedTokenizerFast:
    """What stands beside the weights: vocabulary, template, settings for pictures and, where there are, for videos."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer, pictures, said = _PARTS[family]()
    tokenizer.save_pretrained(folder)
    pictures.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(tokenizer.chat_template, encoding="utf-8")
    settings = json.loads((folder / "preprocessor_config.json").read_text(encoding="utf-8"))
    settings["image_processor_type"] = settings["image_processor_type"].removesuffix("Pil")  # as it is published
    (folder / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "processor_config.json").write_text(json.dumps(said), encoding="utf-8")
    if family in _VIDEO_PARTS:
        video = {"video_processor_type": _VIDEO_PARTS[family], "processor_class": said["processor_class"]}
        (folder / "video_preprocessor_config.json").write_text(json.dumps(video), encoding="utf-8")
    return tokenizer


def _tokenizer(specials: Sequence[str], template: str, end: str = "<|im_end|>", **named: Any) -> Any:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    controls = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *specials]
    raw.train_from_iterator(
        TEXT.splitlines(),
        trainers.BpeTrainer(
            vocab_size=400 + len(specials),
            special_tokens=controls,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if "bos_token" in named:
        bos = named["bos_token"]
        raw.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, raw.token_to_id(bos))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token=end,
        pad_token="<|endoftext|>",
        chat_template=template,
        model_max_length=CONTEXT,
        model_input_names=["input_ids", "attention_mask"],
        **named,
    )


_Parts = tuple[Any, Any, dict[str, Any]]


def _llava_parts() -> _Parts:
    said = {
        "processor_class": "LlavaProcessor",
        "patch_size": 14,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
    }
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56})
    # The tokenizer begins each text; SmolVLM's does too, though its template has done so already.
    tokenizer = _tokenizer(["<image>", "<s>"], _CHATML.replace("PICTURE", "<image>"), bos_token="<s>")
    return tokenizer, pictures, said


def _qwen_parts(kind: str, patch_px: int) -> _Parts:
    specials = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
    pictures = Qwen2VLImageProcessorPil(
        size={"shortest_edge": (2 * patch_px) ** 2, "longest_edge": 8 * (2 * patch_px) ** 2}, patch_size=patch_px
    )
    return _tokenizer(specials, _CHATML.replace("PICTURE", _QWEN_PICTURE)), pictures, {"processor_class": kind}


def _smolvlm_parts() -> _Parts:
    places = [f"<row_{row}_col_{column}>" for row in range(1, 4) for column in range(1, 4)]
    specials = ["<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", *places]
    pictures = SmolVLMImageProcessorPil(
        size={"longest_edge": 64}, max_image_size={"longest_edge": 32}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    tokenizer = _tokenizer(specials, _SMOL, "<end_of_utterance>", bos_token="<|im_start|>")
    return tokenizer, pictures, {"processor_class": "SmolVLMProcessor", "image_seq_len": 4}


def _internvl_parts() -> _Parts:
    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = _tokenizer(
        list(named.values()), _CHATML.replace("PICTURE", "<IMG_CONTEXT>\n"), extra_special_tokens=named
    )
    pictures = GotOcr2ImageProcessorPil(size={"height": 28, "width": 28}, crop_to_patches=True, max_patches=4)
    return tokenizer, pictures, {"processor_class": "InternVLProcessor", "image_seq_length": 4}


_PARTS = {
    "llava": _llava_parts,
    "qwen2_vl": lambda: _qwen_parts("Qwen2VLProcessor", 14),
    "qwen2_5_vl": lambda: _qwen_parts("Qwen2_5_VLProcessor", 14),
    "qwen3_vl": lambda: _qwen_parts("Qwen3VLProcessor", 16),
    "smolvlm": _smolvlm_parts,
    "internvl": _internvl_parts,
}
_VIDEO_PARTS = {
    "qwen2_vl": "Qwen2VLVideoProcessor",
    "qwen2_5_vl": "Qwen2VLVideoProcessor",
    "qwen3_vl": "Qwen3VLVideoProcessor",
    "smolvlm": "SmolVLMVideoProcessor",
    "internvl": "InternVLVideoProcessor",
}


def _network(family: str, tokenizer: Any) -> Any:
    from transformers import AutoConfig

    said = {"text_config": _text(len(tokenizer)), **_EYES[family]}
    for name, token in _IDS[family].items():
        said[name] = tokenizer.convert_tokens_to_ids(token)
    said["text_config"].update(said.pop("text", {}))
    config = AutoConfig.for_model(family, tie_word_embeddings=False, **said)
    model = AutoModelForImageTextToText.from_config(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model


def _text(pieces: int) -> dict[str, Any]:
    return {
        "vocab_size": pieces,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": None,
        "eos_token_id": None,
    }


_TOWER = {"hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
_QWEN_IDS = {
    "image_token_id": "<|image_pad|>",
    "video_token_id": "<|video_pad|>",
    "vision_start_token_id": "<|vision_start|>",
    "vision_end_token_id": "<|vision_end|>",
}
_IDS = {
    "llava": {"image_token_index": "<image>"},
    "qwen2_vl": _QWEN_IDS,
    "qwen2_5_vl": _QWEN_IDS,
    "qwen3_vl": _QWEN_IDS,
    "smolvlm": {"image_token_id": "<image>", "pad_token_id": "<|endoftext|>"},
    "internvl": {"image_token_id": "<IMG_CONTEXT>"},
}
# Three kinds of positions (time, height, width) share the four pairs of each head.
_ROPE = {"rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 1, 1]}}
_EYES: dict[str, dict[str, Any]] = {
    "llava": {
        "text": {"model_type": "llama"},
        "vision_config": {"model_type": "clip_vision_model", "image_size": 56, "patch_size": 14, **_TOWER},
    },
    "qwen2_vl": {
        "text": {"model_type": "qwen2_vl_text", **_ROPE},
        "vision_config": {"depth": 2, "embed_dim": 32, "hidden_size": 32, "num_heads": 2, "mlp_ratio": 2},
    },
    "qwen2_5_vl": {
        "text": {"model_type": "qwen2_5_vl_text", **_ROPE},
        "vision_config": {
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "out_hidden_size": 32,
            "window_size": 56,
            "fullatt_block_indexes": [1],
        },
    },
    "qwen3_vl": {
        "text": {"model_type": "qwen3_vl_text", "head_dim": 8, **_ROPE},
        "vision_config": {
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "out_hidden_size": 32,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0],
        },
    },
    "smolvlm": {
        "text": {"model_type": "llama"},
        "vision_config": {"image_size": 32, "patch_size": 8, **_TOWER},
        "scale_factor": 2,
    },
    "internvl": {
        "text": {"model_type": "qwen2"},
        "vision_config": {"image_size": [28, 28], "patch_size": [7, 7], **_TOWER},
        "image_seq_length": 4,
    },
}
