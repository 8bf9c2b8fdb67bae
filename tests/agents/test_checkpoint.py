"""Checkpoints are data: whatever stands in one, nothing but the workflow's own values is built from it."""

from __future__ import annotations

import json
import os
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import ormsgpack
import pytest

from agents.graph import checkpoint_serializer
from interleaf.schema import Outline, OutlineSection

# The forms in which a checkpoint says that something is to be called.
SINGLE, POSITIONAL, KEYWORDS, METHOD, PYDANTIC_1, PYDANTIC_2 = range(6)


class Touches:
    """What leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch {self.path}",))


def test_the_workflows_own_values_come_back() -> None:
    serializer = checkpoint_serializer()
    outline = Outline(title="T", sections=(OutlineSection(heading="A"),))
    assert serializer.loads_typed(serializer.dumps_typed({"outline": outline})) == {"outline": outline}


def test_a_pickle_is_refused_and_does_not_run(tmp_path: Path) -> None:
    packed = pickle.dumps(Touches(tmp_path / "it-ran"))
    with pytest.raises(NotImplementedError):
        checkpoint_serializer().loads_typed(("pickle", packed))
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize("form", [SINGLE, POSITIONAL, KEYWORDS, METHOD, PYDANTIC_1, PYDANTIC_2])
@pytest.mark.parametrize(
    ("module", "name"), [("os", "system"), ("subprocess", "Popen"), ("builtins", "eval"), ("pathlib", "Path.touch")]
)
def test_a_call_in_a_checkpoint_is_not_made(form: int, module: str, name: str, tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    said: dict[str, Any] = {
        "os.system": f"touch {mark}",
        "subprocess.Popen": ["touch", str(mark)],
        "builtins.eval": f"open({str(mark)!r}, 'w')",
        "pathlib.Path.touch": str(mark),
    }
    given = said[f"{module}.{name}"]
    call = {
        SINGLE: (module, name, given),
        POSITIONAL: (module, name, [given]),
        KEYWORDS: (module, name, {"args": given}),
        METHOD: (module, name.split(".")[0], given, name.split(".")[-1]),
        PYDANTIC_1: (module, name, {"args": given}),
        PYDANTIC_2: (module, name, {"args": given}, "model_construct"),
    }[form]
    packed = ormsgpack.packb({"title": ormsgpack.Ext(form, ormsgpack.packb(call))})
    found = checkpoint_serializer().loads_typed(("msgpack", packed))
    assert not mark.exists()
    assert type(found["title"]) in (type(None), str, list, dict, tuple)


def test_a_call_in_json_is_not_made_either(tmp_path: Path) -> None:
    mark = tmp_path / "it-ran"
    for how in ({"args": [f"touch {mark}"]}, {"kwargs": {"command": f"touch {mark}"}}):
        hostile = {"lc": 2, "type": "constructor", "id": ["os", "system"], **how}
        with suppress(ValueError, NotImplementedError):  # refused, which is as good
            checkpoint_serializer().loads_typed(("json", json.dumps({"title": hostile}).encode()))
        assert not mark.exists()
