"""A second reading of the vision side: CLIP, merging, separators and projector, one vector after another."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from model.network.xcomposer import XComposerForConditionalGeneration


def seen_patches(model: XComposerForConditionalGeneration, tile: Tensor) -> Tensor:
    """(g, g, C) vectors of one (3, P, P) tile after the last layer, before any last norm."""
    vision, state = model.config.vision_config, model.state_dict()
    at = "vit.vision_tower.vision_model."
    edge, width = vision.image_size // vision.patch_size, vision.hidden_size
    kernel = state[f"{at}embeddings.patch_embedding.weight"].reshape(width, -1)
    rows = [state[f"{at}embeddings.class_embedding"]]
    p = vision.patch_size
    for y in range(edge):
        band = tile[:, y * p : (y + 1) * p]
        rows += [kernel @ band[:, :, x * p : (x + 1) * p].reshape(-1) for x in range(edge)]
    h = torch.stack(rows) + state[f"{at}embeddings.position_embedding.weight"]

    def norm(path: str, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + vision.layer_norm_eps)
        return scaled * state[f"{path}.weight"] + state[f"{path}.bias"]

    def linear(path: str, x: Tensor) -> Tensor:
        return x @ state[f"{path}.weight"].T + state[f"{path}.bias"]

    h = norm(f"{at}pre_layrnorm", h)
    heads, share = vision.num_attention_heads, width // vision.num_attention_heads
    for layer in range(vision.num_hidden_layers):
        path = f"{at}encoder.layers.{layer}"
        inner = norm(f"{path}.layer_norm1", h)
        q, k, v = (linear(f"{path}.self_attn.{name}_proj", inner) for name in "qkv")
        parts = []
        for head in range(heads):
            cut = slice(head * share, (head + 1) * share)
            parts.append(torch.softmax(q[:, cut] @ k[:, cut].T / math.sqrt(share), -1) @ v[:, cut])
        h = h + linear(f"{path}.self_attn.out_proj", torch.cat(parts, -1))
        wide = linear(f"{path}.mlp.fc1", norm(f"{path}.layer_norm2", h))
        h = h + linear(f"{path}.mlp.fc2", wide * torch.sigmoid(1.702 * wide))
    return h[1:].view(edge, edge, width)


def picture_vectors(model: XComposerForConditionalGeneration, tiles: Tensor, grid: tuple[int, int]) -> Tensor:
    """(T, H) vectors of one picture: its tiles (overview first where there are several kinds) and its grid."""
    config, state = model.config, model.state_dict()
    maps = []
    for tile in tiles:
        patches = seen_patches(model, tile)
        half = patches.shape[0] // config.merge
        merged = torch.zeros(half, half, patches.shape[-1] * config.merge**2)
        for y in range(half):
            for x in range(half):
                square = patches[y * config.merge : (y + 1) * config.merge, x * config.merge : (x + 1) * config.merge]
                merged[y, x] = square.reshape(-1)
        maps.append(merged)
    rows: list[Tensor] = []
    if config.separators:
        end, part = state["plora_sub_GN"].reshape(-1), state["plora_glb_GN"].reshape(-1)
        for line in maps[0]:
            rows += [*line, end]
        rows.append(part)
        h, w = grid
        edge = maps[0].shape[0]
        for y in range(h * edge):
            for x in range(w * edge):
                rows.append(maps[1 + (y // edge) * w + x // edge][y % edge, x % edge])
            rows.append(end)
    else:
        rows += [vector for line in maps[0] for vector in line]
    first = torch.stack(rows) @ state["vision_proj.0.weight"].T + state["vision_proj.0.bias"]
    bent = 0.5 * first * (1 + torch.erf(first / math.sqrt(2)))
    return bent @ state["vision_proj.2.weight"].T + state["vision_proj.2.bias"]
