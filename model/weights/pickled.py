"""Pickled: a `.bin` shard, a state dict in torch's zip form, mapped and never trusted.

Only tensors are taken out of it: torch's own restricted unpickler reads the list, and what it makes is looked over
again, because that unpickler lets through views, sparse and device-less tensors that no published file has.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path
from pickle import UnpicklingError  # noqa: TID251 (the name of an error, nothing is unpickled here)
from typing import Final

import torch

from interleaf.errors import CheckpointInvalid, shown

__all__ = ["check_sums", "open_pickled"]

# The list of 2,000 tensors takes 400 kB; what claims more wants to fill the memory.
MAX_LIST_BYTES: Final = 64 * 2**20
MAX_RECORDS: Final = 200_000
_READ_BYTES: Final = 2**22
# Torch's magic number as its old form pickles it.
_OLD_FORM: Final = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")

_FETCH_ANEW: Final = "Fetch or copy it anew."


def open_pickled(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a shard, mapped into memory and not read. CheckpointInvalid for anything but plain tensors."""
    _look_over_zip(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a damaged list makes torch warn of its protocol before it fails
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except UnpicklingError as error:
        raise CheckpointInvalid(path.name, _what_it_wants(str(error)), "Do not use it.") from error
    # A damaged list makes the unpickler stumble in many ways.
    except (RuntimeError, OSError, ValueError, EOFError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise CheckpointInvalid(path.name, f"is damaged ({_said(error)}).", _FETCH_ANEW) from error
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise CheckpointInvalid(path.name, "holds no dictionary of names and tensors.", "Take the weights themselves.")
    return {name: _plain(path, name, value) for name, value in state.items()}


def check_sums(path: Path) -> None:
    """Read the whole shard and hold each record against its check sum. CheckpointInvalid names the first wrong one."""
    try:
        with zipfile.ZipFile(path) as archive:
            for record in archive.infolist():
                with archive.open(record) as stream:
                    while stream.read(_READ_BYTES):
                        continue
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        raise CheckpointInvalid(path.name, f"is damaged ({_said(error)}).", _FETCH_ANEW) from error


def _look_over_zip(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(len(_OLD_FORM))
    if start == _OLD_FORM:
        raise CheckpointInvalid(
            path.name,
            "is in the form that torch wrote before version 1.6, which cannot be mapped.",
            "Load it with torch.load(..., weights_only=True) and save it again.",
        )
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointInvalid(path.name, f"is cut off or no file of torch ({shown(error)}).", _FETCH_ANEW) from error
    lists = [r for r in records if r.filename.endswith("/data.pkl")]
    if len(lists) != 1 or lists[0].file_size > MAX_LIST_BYTES or len(records) > MAX_RECORDS:
        raise CheckpointInvalid(path.name, "has not the inner form of a file of torch.", "Do not use it.")
    if any(r.compress_type != zipfile.ZIP_STORED for r in records):
        raise CheckpointInvalid(path.name, "holds compressed records, which torch never writes.", "Do not use it.")


def _said(error: BaseException) -> str:
    return shown(error) or type(error).__name__


def _what_it_wants(said: str) -> str:
    """The call that the pickle asked for, out of torch's long message."""
    found = re.search(r"GLOBAL ([\w.]{1,100})|global ([\w.]{1,100})|Unsupported (operand \d+)", said)
    wanted = next((part for part in found.groups() if part), "") if found else ""
    wanted = wanted or "a forbidden call"
    return f"wants more than tensors ({wanted}), which could run a stranger's code; it was not read."


def _plain(path: Path, name: str, value: object) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        problem = f"holds {shown(name)}, which is no tensor but {type(value).__name__}."
        raise CheckpointInvalid(path.name, problem, "Take the weights themselves, not a training state.")
    tensor = value.detach()
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized or tensor.is_nested:
        raise CheckpointInvalid(path.name, f"{shown(name)} is no plain tensor.", "Take the published weights.")
    # A view that repeats a few bytes may pretend any size.
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise CheckpointInvalid(path.name, f"{shown(name)} claims more than the file holds.", "Do not use it.")
    return tensor
