"""A .bin shard gives plain tensors or a clear error, whatever stands in it, and never runs anything."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interleaf.errors import CheckpointInvalid
from model.weights.pickled import check_sums, open_pickled


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    state = {"a": torch.arange(600.0).view(20, 30), "b": torch.ones(7, dtype=torch.bfloat16)}
    torch.save(state, tmp_path / "shard.bin")
    return tmp_path / "shard.bin"


def _rewritten(
    source: Path, target: Path, change: Callable[[str, bytes], bytes], how: int = zipfile.ZIP_STORED
) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", how) as new:
        for record in old.infolist():
            new.writestr(record.filename, change(record.filename, old.read(record)))
    return target


def _refused(path: Path, match: str) -> None:
    with pytest.raises(CheckpointInvalid, match=match) as caught:
        open_pickled(path)
    assert path.name in caught.value.message


def test_tensors_come_as_they_were_saved(shard: Path) -> None:
    found = open_pickled(shard)
    assert set(found) == {"a", "b"} and found["b"].dtype == torch.bfloat16
    assert torch.equal(found["a"], torch.arange(600.0).view(20, 30))
    check_sums(shard)


def test_parameters_and_turned_tensors_are_tensors(tmp_path: Path) -> None:
    weight = torch.randn(4, 6)
    torch.save({"p": torch.nn.Parameter(weight), "t": weight.t()}, tmp_path / "x.bin")
    found = open_pickled(tmp_path / "x.bin")
    assert torch.equal(found["p"], weight) and not found["p"].requires_grad
    assert torch.equal(found["t"], weight.t())


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.9, 0.999])
def test_a_cut_shard(shard: Path, kept: float) -> None:
    content = shard.read_bytes()
    shard.write_bytes(content[: int(len(content) * kept)])
    _refused(shard, "cut off or no file of torch")


class _Hostile:
    """What an attacker's pickle asks for."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.mark}",)


def test_a_hostile_pickle_is_named_and_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "owned"
    torch.save({"a": torch.ones(3), "b": _Hostile(mark)}, tmp_path / "x.bin")
    _refused(tmp_path / "x.bin", r"wants more than tensors \((posix|nt)\.system\)")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ({"a": torch.ones(1, 1).expand(10**7, 10**7)}, "claims more than the file holds"),
        ({"a": torch.ones(3, 3).to_sparse()}, "no plain tensor"),
        ({"a": torch.empty(3, device="meta")}, "no plain tensor"),
        ({"a": torch.ones(3), "epoch": 3}, "epoch, which is no tensor but int"),
        ({"model": {"a": torch.ones(3)}}, "model, which is no tensor but dict"),
        ([torch.ones(3)], "no dictionary"),
        ({1: torch.ones(3)}, "no dictionary"),
    ],
    ids=["expanded", "sparse", "meta", "number", "nested", "list", "numbered"],
)
def test_what_is_no_plain_state_dict(value: object, match: str, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "x.bin")
    _refused(tmp_path / "x.bin", match)


def test_the_old_form_is_told_apart(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(3)}, tmp_path / "x.bin", _use_new_zipfile_serialization=False)
    _refused(tmp_path / "x.bin", "before version 1.6")


def test_compressed_and_foreign_zips(shard: Path, tmp_path: Path) -> None:
    _refused(_rewritten(shard, tmp_path / "z.bin", lambda name, data: data, zipfile.ZIP_DEFLATED), "compressed")
    with zipfile.ZipFile(tmp_path / "w.bin", "w") as archive:
        archive.writestr("word/document.xml", "<x/>")
    _refused(tmp_path / "w.bin", "inner form")


def test_a_record_shorter_than_its_tensor(shard: Path, tmp_path: Path) -> None:
    _refused(_rewritten(shard, tmp_path / "s.bin", lambda n, d: d[:10] if n.endswith("data/0") else d), "damaged")


def test_one_flipped_bit_fails_its_sum(shard: Path) -> None:
    content = bytearray(shard.read_bytes())
    content[content.find(torch.arange(600.0).numpy().tobytes()) + 1_000] ^= 1
    shard.write_bytes(content)
    assert not torch.equal(open_pickled(shard)["a"], torch.arange(600.0).view(20, 30))  # the header shows nothing
    with pytest.raises(CheckpointInvalid, match="damaged"):
        check_sums(shard)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_list_is_an_error_or_harmless(changes: list[tuple[int, int]], shard: Path, tmp_path: Path) -> None:
    """Any bytes of the pickle changed: CheckpointInvalid, or tensors whose values all lie in the file."""

    def damage(name: str, data: bytes) -> bytes:
        if not name.endswith("data.pkl"):
            return data
        changed = bytearray(data)
        for place, value in changes:
            changed[place % len(changed)] = value
        return bytes(changed)

    damaged = _rewritten(shard, tmp_path / "d.bin", damage)
    try:
        found = open_pickled(damaged)
    except CheckpointInvalid:
        return
    for tensor in found.values():
        assert tensor.numel() * tensor.element_size() <= damaged.stat().st_size
        tensor.clone()
