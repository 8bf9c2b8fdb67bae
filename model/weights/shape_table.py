"""Shape table: the sizes that a checkpoint's tensor shapes tell: ranks, layers, tower, merging."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Final

from interleaf.errors import CheckpointInvalid, shown
from model.network.config import LINEARS
from model.weights.tensor_list import LAYER, TOWER, linear_path

__all__ = ["MAX_LAYERS", "ShapeTable", "Shapes"]

MAX_LAYERS: Final = 1_000
Shapes = Mapping[str, tuple[int, ...]]

_ADAPTERS: Final = ("lora_sft", "lora_dpo", "lora_web")
_TOWER_DIMS: Final = {"embeddings.class_embedding": 1, "embeddings.patch_embedding.weight": 4}


class ShapeTable:
    """Tensor names and shapes of one checkpoint, asked for sizes. Every question may raise CheckpointInvalid."""

    def __init__(self, shapes: Shapes) -> None:
        self.shapes = shapes

    def shape(self, name: str, dims: int) -> tuple[int, ...]:
        """The shape of one tensor, which has `dims` dimensions."""
        found = self.shapes.get(name)
        if found is None:
            raise CheckpointInvalid("checkpoint", f"lacks the tensor {name}.", "Take the whole checkpoint.")
        if len(found) != dims or min(found) < 1:
            raise CheckpointInvalid("checkpoint", f"{name} has shape {found}, not {dims} dimensions.", "Take it anew.")
        return found

    def matrix(self, name: str) -> tuple[int, int]:
        """(rows, columns) of one tensor."""
        rows, columns = self.shape(name, 2)
        return rows, columns

    def tower(self, ending: str) -> tuple[int, ...]:
        """The shape of one tensor of the vision tower."""
        return self.shape(f"{TOWER}{ending}", _TOWER_DIMS.get(ending, 2))

    def most(self, ending: str) -> tuple[int, int]:
        """(rows, columns) that most text layers have at `ending`: one damaged layer must not decide for all."""
        found = Counter(
            (shape[0], shape[1])
            for name, shape in self.shapes.items()
            if name.startswith(LAYER) and name.endswith(f".{ending}") and len(shape) == 2 and min(shape) > 0
        )
        if not found:
            raise CheckpointInvalid("checkpoint", f"no layer has {ending}.", "Take the whole checkpoint.")
        return found.most_common(1)[0][0]

    def layers(self, prefix: str) -> int:
        """How many layers stand under `prefix`: one more than the highest number."""
        pattern = re.compile(re.escape(prefix) + r"(\d{1,6})\.")
        numbers = [int(found[1]) for name in self.shapes if (found := pattern.match(name))]
        if not numbers or max(numbers) >= MAX_LAYERS:
            problem = f"has no layers numbered from 0 to less than {MAX_LAYERS} under {shown(prefix)}"
            raise CheckpointInvalid("checkpoint", f"{problem}.", "Take the whole checkpoint.")
        return max(numbers) + 1

    def plora_ranks(self) -> dict[str, int]:
        """Rank of the picture rows' path by linear; a linear that has none in any layer is left out."""
        ranks = {}
        for linear in LINEARS:
            ending = linear_path(0, linear).removeprefix(f"{LAYER}0.") + ".Plora_A.weight"
            if any(name.endswith(ending) for name in self.shapes):
                ranks[linear] = self.most(ending)[0]
        return ranks

    def adapter_ranks(self) -> dict[str, int]:
        """Rank of each task adapter that is there, in the order sft, dpo, web."""
        present = {name for name in _ADAPTERS if any(f".{name}_A." in key for key in self.shapes)}
        return {name: self.most(f"attention.wqkv.{name}_A.weight")[0] for name in _ADAPTERS if name in present}

    def merge(self) -> int:
        """Side of the square of patches that becomes one vector: by how much the projector is wider than the tower."""
        tower_width = self.tower("embeddings.class_embedding")[0]
        in_width = self.matrix("vision_proj.0.weight")[1]
        merge = math.isqrt(in_width // tower_width)
        if merge not in (1, 2) or merge**2 * tower_width != in_width:
            raise CheckpointInvalid(
                "checkpoint",
                f"vision_proj.0.weight takes {in_width} values, neither 1 nor 4 times the tower's {tower_width}.",
                "Take the whole checkpoint from one place.",
            )
        return merge

    def grid(self) -> int:
        """Patches along the edge of the square picture that the tower's position table is for."""
        places = self.tower("embeddings.position_embedding.weight")[0]
        side = math.isqrt(max(0, places - 1))
        if side < 1 or side**2 + 1 != places:
            problem = f"its position table of {places} rows is of no square picture."
            raise CheckpointInvalid("checkpoint", problem, "Take the whole checkpoint from one place.")
        return side
