"""Edits a document of a service: the longest paragraph is written shorter, a figure shows another picture, and what
was done is shown, taken back, and done again.

interleaf serve                                  # prints the key and the address
export INTERLEAF_SERVER=http://127.0.0.1:8000
export INTERLEAF_API_KEY=ilk_…
python examples/service/edit_document.py doc_… out
"""

from __future__ import annotations

import sys
from pathlib import Path

from interleaf import Client
from interleaf.errors import VersionStale
from interleaf.schema import Paragraph


def main(document_id: str, folder: Path) -> Path:
    """Edit the document; the path of its page."""
    with Client() as client:
        document = client.documents.get(document_id)
        paragraphs = [block for block in document.article.blocks if isinstance(block, Paragraph)]
        longest = max(paragraphs, key=lambda block: len(block.text))
        shorter = client.documents.edit(document, {"op": "shorten", "block_id": longest.id})
        print(client.documents.diff(shorter).text)
        try:
            client.documents.edit(document, {"op": "delete", "block_id": longest.id})  # it has moved on
        except VersionStale as error:
            print(error)
        shown = {figure.picture_id for figure in shorter.article.figures}
        for figure in shorter.article.figures:
            others = [one.picture_id for one in figure.alternatives if one.picture_id not in shown]
            if others:
                swap = {"op": "swap_picture", "block_id": figure.id, "picture_id": others[0]}
                shorter = client.documents.edit(shorter, swap)
                break
        undone = client.documents.undo(shorter)
        again = client.documents.redo(undone)
        for line in client.documents.versions(again).data:
            print(f"{line.version:>3} {line.how} {(line.edit or {}).get('op', '')}")
        page = client.documents.rendered(again).artifact("html")
        return client.artifacts.download(page, folder / "article.html")


if __name__ == "__main__":
    print(main(sys.argv[1], Path(sys.argv[2])))
