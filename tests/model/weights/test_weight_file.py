"""A weight file is read by the safetensors library as what was written, whatever the tensors are like."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from model.weights.weight_file import DTYPES, header_of, write_weight_file


def _plan(tensors: dict[str, torch.Tensor]) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    return {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()}


@settings(max_examples=60, deadline=None)
@given(
    shapes=st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=6),
    dtypes=st.lists(st.sampled_from(sorted(DTYPES)), min_size=6, max_size=6),
)
def test_the_library_reads_it(
    shapes: list[list[int]], dtypes: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("w") / "x.safetensors"
    tensors = {f"layer.{i}.ä": torch.randn(shape).to(DTYPES[dtypes[i]]) for i, shape in enumerate(shapes)}
    told: list[int] = []
    written = write_weight_file(path, _plan(tensors), tensors.items(), told.append)
    back = load_file(path)
    assert set(back) == set(tensors)
    for name, tensor in tensors.items():
        assert back[name].dtype == tensor.dtype and torch.equal(back[name], tensor)
    content = path.read_bytes()
    assert (written.nbytes, written.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert sum(told) == sum(t.numel() * t.element_size() for t in tensors.values())
    assert {name: shape for name, (_, shape) in header_of(path).items()} == {
        n: tuple(t.shape) for n, t in tensors.items()
    }


def test_turned_and_large_tensors(tmp_path: Path) -> None:
    """A view in another order, and one longer than the piece in which bytes are written."""
    tensors = {"t": torch.randn(30, 20).t(), "large": torch.arange(5 * 2**20, dtype=torch.float32)}
    write_weight_file(tmp_path / "x.safetensors", _plan(tensors), tensors.items())
    back = load_file(tmp_path / "x.safetensors")
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())


def test_what_was_not_planned_is_an_error(tmp_path: Path) -> None:
    plan = _plan({"a": torch.ones(2), "b": torch.ones(3)})
    for number, tensors in enumerate(
        (
            [("a", torch.ones(2))],
            [("a", torch.ones(2)), ("b", torch.ones(4))],
            [("a", torch.ones(2)), ("b", torch.ones(3, dtype=torch.bfloat16))],
            [("b", torch.ones(3)), ("a", torch.ones(2))],
            [("a", torch.ones(2)), ("b", torch.ones(3)), ("c", torch.ones(1))],
        )
    ):
        with pytest.raises(ValueError, match="planned"):
            write_weight_file(tmp_path / f"{number}.safetensors", plan, tensors)


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_text("mine")
    with pytest.raises(FileExistsError):
        write_weight_file(tmp_path / "x.safetensors", {}, [])
    assert (tmp_path / "x.safetensors").read_text() == "mine"
