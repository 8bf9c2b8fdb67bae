"""Question display: what a run or a job asks a person, and how it is answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from interleaf.cli.printing import console, say

__all__ = ["answer_of", "tell_question"]


def tell_question(run_id: str, question: Mapping[str, Any], answering: str, as_json: bool) -> None:
    """Show the outline or the pictures that are asked about. `answering`: the command that answers, without the answer
    itself."""
    from rich.text import Text

    if as_json:
        typer.echo(json.dumps({"run_id": run_id, "needs_input": dict(question)}, ensure_ascii=False))
        return
    out = console(error=True)
    if question.get("asks") == "outline":
        outline = question["outline"]
        out.print(Text(outline["title"], style="bold"))
        for section in outline["sections"]:
            words = f" ({section['length_words']} words)" if section["length_words"] else ""
            out.print(Text("  " * (section["level"] - 1) + (section["heading"] or "(opening)") + words))
    else:
        for picture in question.get("pictures", ()):
            out.print(Text(f"after block {picture['slot']}: {picture['picture_id'][:12]} {picture['reason']}"))
    say(f"The run waits. Answer with: {answering} --approve", "yellow", error=True)
    say("or --cancel, or --answer FILE with your edited outline.", "yellow", error=True)


def answer_of(approve: bool, cancel: bool, file: Path | None) -> dict[str, Any] | None:
    """What the options answer; None when they answer nothing. InvalidBrief when they contradict each other, or the
    file holds no answer."""
    from interleaf.errors import InvalidBrief

    if sum((approve, cancel, file is not None)) > 1:
        raise InvalidBrief("--approve, --cancel, --answer", "contradict each other.", "Give one of them.")
    if approve:
        return {"decision": "approve"}
    if cancel:
        return {"decision": "cancel"}
    if file is None:
        return None
    import yaml

    try:
        value = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidBrief("--answer", f"{file.name} cannot be read: {error}", "Give a YAML or JSON file.") from error
    if not isinstance(value, dict):
        raise InvalidBrief("--answer", f"{file.name} holds no fields.", "Write `decision: edit` and the edited part.")
    return {"decision": "edit", **value}
