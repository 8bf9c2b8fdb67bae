"""Teaching state: how far a run has come, in a folder that appears complete or not at all.

adapter.safetensors   the pairs            moments.safetensors   what the optimiser remembers of each
position.json         steps done, the settings, the set, the base, sha256 of both files

Chance is not kept: order and dropout of a step follow from the seed and its number. So a run that was killed and
goes on makes the same weights as one that was not, to the bit on the same machine with as many threads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from interleaf.errors import InvalidBrief, WeightsUnusable, shown
from interleaf.whole_file import write_whole
from model.json_file import read_object
from model.weights.teaching_adapter import write_tensors
from model.weights.weight_file import open_tensors
from model.weights.whole_folder import clear_leftovers, whole_folder

__all__ = ["STATE", "TeachingState"]

STATE: Final = "state"
FORMAT: Final = 1
_POSITION: Final = "position.json"
_MOMENTS: Final = ("exp_avg", "exp_avg_sq")


class TeachingState:
    """The state of the run in `folder`. `told`: what must be the same for a run to go on, by name."""

    def __init__(self, folder: Path, told: Mapping[str, Any]) -> None:
        self.folder, self.told = folder / STATE, dict(told)
        clear_leftovers(self.folder)

    def exists(self) -> bool:
        """Whether a checkpoint is there."""
        return (self.folder / _POSITION).is_file()

    def save(self, step: int, pairs: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
        """Keep what was reached after `step` steps in place of what was kept before. OutputUnwritable when the disk
        is full; then the former checkpoint stays."""
        moments = {
            f"{kind}.{name}": optimizer.state[parameter][kind] for name, parameter in pairs.items() for kind in _MOMENTS
        }
        with whole_folder(self.folder) as aside:
            sums = {
                "adapter": write_tensors(aside / "adapter.safetensors", pairs),
                "moments": write_tensors(aside / "moments.safetensors", moments),
            }
            said = {"format": FORMAT, "step": step, "told": self.told, "sha256": sums}
            write_whole(aside / _POSITION, (json.dumps(said, indent=2) + "\n").encode())

    def check(self) -> int:
        """How many steps were done. InvalidBrief when the run was another; WeightsUnusable for a newer format."""
        said = read_object(self.folder / _POSITION)
        step, told = said.get("step"), said.get("told")
        if said.get("format") != FORMAT or not isinstance(step, int) or not isinstance(told, dict) or step < 1:
            raise WeightsUnusable(_POSITION, "is damaged, or of another interleaf.", "Begin again in another folder.")
        other = sorted(key for key in {*told, *self.told} if told.get(key) != self.told.get(key))
        if other:
            key = other[0]
            raise InvalidBrief(
                key.replace("_", " "),
                f"was {shown(told.get(key))} when this run began and is {shown(self.told.get(key))} now.",
                "Go on with what it began with, or begin anew in another folder.",
            )
        return step

    def load(self, pairs: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer) -> int:
        """Put pairs and moments back; the steps done. As `check`; WeightsUnusable when a file is damaged."""
        step = self.check()
        sums = read_object(self.folder / _POSITION).get("sha256")
        files = {
            name: _whole(self.folder / f"{name}.safetensors", (sums or {}).get(name)) for name in ("adapter", "moments")
        }
        for name, parameter in pairs.items():
            parameter.data.copy_(_fitting(files["adapter"], name, parameter))
            optimizer.state[parameter] = {
                "step": torch.tensor(float(step)),
                **{
                    kind: _fitting(files["moments"], f"{kind}.{name}", parameter).to(parameter.device, copy=True)
                    for kind in _MOMENTS
                },
            }
        return step


def _whole(path: Path, sha256: Any) -> dict[str, Tensor]:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        problem = f"cannot be read ({error.strerror or error})."
        raise WeightsUnusable(path.name, problem, "Begin again in another folder.") from error
    if found != sha256:
        raise WeightsUnusable(path.name, "has changed since it was kept (sha256).", "Begin again in another folder.")
    with open_tensors(path) as opened:
        return {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 (it is no dictionary)


def _fitting(tensors: Mapping[str, Tensor], name: str, parameter: Tensor) -> Tensor:
    found = tensors.get(name)
    if found is None or found.shape != parameter.shape:
        raise WeightsUnusable(name, "is missing or misshapen in the state.", "Begin again in another folder.")
    return found
