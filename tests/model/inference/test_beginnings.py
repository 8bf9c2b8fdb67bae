"""What is found is what was kept, for exactly the tokens, pictures, task and base that it was computed for; bounded."""

from __future__ import annotations

import hashlib
import threading
import weakref
from collections.abc import Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.inference.beginnings import Beginnings, PictureSpan, Tokens
from model.network.cache import Part

PLACEHOLDER, SIZE = 9, 3  # tokens of a picture
BYTES = 2 * (2 + 2) * 8  # of a token: two layers, keys and values, two numbers each
# Words of one token, or a picture's key.
Said = Sequence[int | str]


def tokens(said: Said, task: str = "base", base: float = 1.0) -> Tokens:
    ids: list[int] = []
    spans = []
    for one in said:
        if isinstance(one, str):
            spans.append(PictureSpan(len(ids), len(ids) + SIZE, one))
        ids += [PLACEHOLDER] * SIZE if isinstance(one, str) else [one]
    return Tokens(ids, spans, task, base)


def computed(line: Tokens) -> Part:
    """Keys and values that depend on everything up to their token, as those of a network do."""
    numbers = []
    for at in range(len(line)):
        before = [(p.start, p.key) for p in line.pictures if p.start <= at]
        digest = hashlib.sha256(repr((line.ids[: at + 1].tolist(), before, line.setting)).encode()).digest()
        numbers.append([float(digest[i]) + digest[i + 1] / 256 for i in range(0, 16, 2)])
    table = torch.tensor(numbers, dtype=torch.float64).reshape(-1, 4, 2)
    return [(table[None, :, 2 * layer], table[None, :, 2 * layer + 1]) for layer in range(2)]


def cut(part: Part, start: int, end: int) -> Part:
    return [(keys[:, start:end], values[:, start:end]) for keys, values in part]


def held(kept: Beginnings, line: Tokens, end: int) -> int:
    """How much of `line` is kept, after a look at every number of it."""
    length, parts = kept.find(line, end)
    true = computed(line)
    for layer in range(2):
        for which in range(2):
            pieces = [part[layer][which] for part in parts]
            found = torch.cat(pieces, dim=1) if pieces else torch.zeros(1, 0, 2, dtype=torch.float64)
            assert found.equal(true[layer][which][:, :length])
    assert not any(p.start < length < p.end for p in line.pictures), "a picture is whole or not there"
    return length


def common(one: Said, other: Said) -> int:
    """Tokens that both begin with, counted one after another."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += SIZE if isinstance(a, str) else 1
    return count


SAID = st.lists(st.sampled_from([1, 2, "sea", "sky"]), min_size=1, max_size=9)
SETTINGS = st.sampled_from([("base", 1.0), ("write", 1.0), ("base", 2.0)])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(SAID, SETTINGS, st.integers(0, 3)), max_size=12), st.sampled_from([10**6, 40, 11, 0]))
def test_the_longest_beginning_is_found_and_never_anything_else(
    runs: list[tuple[list[int | str], tuple[str, float], int]], room: int
) -> None:
    kept = Beginnings(room * BYTES)
    before: list[tuple[Said, tuple[str, float]]] = []
    for said, setting, left in runs:
        line = tokens(said, *setting)
        end = max(0, len(line) - left)
        length = held(kept, line, end)
        best = max((common(said, other) for other, of in before if of == setting), default=0)
        assert length <= end
        if room == 10**6:
            whole = [p.start for p in line.pictures if p.start < min(best, end) < p.end]
            assert length == (whole[0] if whole else min(best, end))
        true = computed(line)
        half = length // 2  # parts come in pieces, as from earlier beginnings and what was computed now
        kept.put(line, len(line), [cut(true, 0, half), cut(true, half, len(line))])
        before.append((said, setting))
        assert kept.bytes_kept == sum(node.bytes for node in kept._nodes()) <= room * BYTES
        if len(line) <= room:
            assert held(kept, line, len(line)) == len(line)
    kept.clear()
    assert len(kept) == kept.bytes_kept == 0


def test_what_is_common_is_kept_once() -> None:
    kept = Beginnings()
    for last in range(20):
        line = tokens([1, "sea", 2, 1, 1, last])
        kept.put(line, len(line), [computed(line)])
    assert kept.bytes_kept == (7 + 20) * BYTES and len(kept) == 21


def test_what_is_longest_unused_leaves_first_and_from_its_end() -> None:
    kept = Beginnings(12 * BYTES)
    lines = {name: tokens([number, number, 1, 2]) for number, name in enumerate(("first", "second", "third"), 3)}
    for line in lines.values():
        kept.put(line, 4, [computed(line)])
    kept.find(lines["first"], 4)
    branch = tokens([3, 3, 7, 7, 7])
    kept.put(branch, 5, [computed(branch)])
    assert held(kept, branch, 5) == 5 and held(kept, lines["first"], 4) == 4
    assert held(kept, lines["second"], 4) == 0 and held(kept, lines["third"], 4) == 4
    other = tokens([8, 8, 8])
    kept.find(branch, 5)
    kept.find(lines["third"], 4)
    kept.put(other, 3, [computed(other)])
    assert held(kept, lines["first"], 4) == 2, "its end has left, what the branch needs has stayed"
    assert held(kept, branch, 5) == 5


def test_of_what_is_too_long_the_beginning_is_kept() -> None:
    kept = Beginnings(6 * BYTES)
    line = tokens([1, 2, "sea", "sky", 1])
    kept.put(line, len(line), [computed(line)])
    assert held(kept, line, len(line)) == 5, "two words and a whole picture"


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (torch.OutOfMemoryError("no room"), False),
        (RuntimeError("can't allocate memory"), False),
        (RuntimeError("shape"), True),
    ],
)
def test_too_little_memory_forgets_and_goes_on(
    error: RuntimeError, raised: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, line, branch = Beginnings(), tokens([1, 2, 1, 2]), tokens([1, 2, 2, 2])
    kept.put(line, 4, [computed(line)])
    torn = weakref.ref(kept.find(line, 4).parts[0][0][0])

    def failing(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torch, "cat", failing)
    if raised:
        with pytest.raises(RuntimeError, match="shape"):
            kept.put(branch, 4, [computed(branch)])
    else:
        kept.put(branch, 4, [computed(branch)])
    monkeypatch.undo()
    assert len(kept) == kept.bytes_kept == 0 and torn() is None
    kept.put(branch, 4, [computed(branch)])
    assert held(kept, branch, 4) == 4


def test_forgotten_is_free_at_once() -> None:
    """Nodes know one another; memory must not wait until the collector comes by."""
    kept = Beginnings()
    for last in (1, 2):
        line = tokens([1, 1, last])
        kept.put(line, 3, [computed(line)])
    watched = [weakref.ref(held) for node in kept._nodes() for pair in node.part for held in pair]
    kept.clear()
    assert len(watched) == 12 and all(one() is None for one in watched)


def test_threads_share_it() -> None:
    kept, failed = Beginnings(60 * BYTES), []

    def work(seed: int) -> None:
        try:
            numbers = torch.Generator().manual_seed(seed)
            for _ in range(60):
                line = tokens(torch.randint(1, 4, (12,), generator=numbers).tolist())
                held(kept, line, 12)
                kept.put(line, 12, [computed(line)])
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and kept.bytes_kept == sum(node.bytes for node in kept._nodes()) <= 60 * BYTES
