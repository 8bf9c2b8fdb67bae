"""`interleaf schema`: the JSON Schema of the words."""

from __future__ import annotations

import json
from pathlib import Path

import typer

NAMES = {"brief": "Brief", "article": "Article", "picture": "Picture", "outline": "Outline", "event": "Event"}


def schema(
    name: str = typer.Argument("all", help="One of: all, " + ", ".join(NAMES)),
    out: Path | None = typer.Option(None, "--out", "-o", help="Write to this file instead of the terminal."),
) -> None:
    """Print the JSON Schema (2020-12) of a brief, an article, a picture, an outline or an event.

    Example: interleaf schema brief > brief.schema.json
    """
    import interleaf.schema as words
    from interleaf.errors import InvalidBrief

    if name != "all" and name not in NAMES:
        raise InvalidBrief("schema", f"{name!r} is not one of the words.", f"Choose one of: all, {', '.join(NAMES)}.")
    wanted = NAMES if name == "all" else {name: NAMES[name]}
    schemas = {key: getattr(words, kind).model_json_schema() for key, kind in wanted.items()}
    for value in schemas.values():
        value["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    text = json.dumps(schemas if name == "all" else schemas[name], indent=2, ensure_ascii=False) + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        from interleaf.whole_file import write_whole

        write_whole(out, text.encode())
