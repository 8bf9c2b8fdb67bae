"""Makes a piece of a brief for each of two harbours, then three variants of one, and saves the page of the best.

interleaf serve                                  # prints the key and the address
export INTERLEAF_SERVER=http://127.0.0.1:8000
export INTERLEAF_API_KEY=ilk_…
python examples/service/make_batch.py examples/tides/brief.yaml out
"""

from __future__ import annotations

import sys
from pathlib import Path

from interleaf import Client
from interleaf.brief_file import brief_fields


def main(brief_path: Path, folder: Path) -> Path:
    """The path of the best variant's page."""
    fields, base = brief_fields(brief_path)
    with Client() as client:
        harbours = {"brest": {"harbour": "Brest"}, "cork": {"harbour": "Cork"}, "nowhere": {}}
        batch = client.batches.create(fields | {"title": "Tides for {{ harbour }}"}, harbours, base=base, name="Tides")
        variants = client.batches.variants(fields, 3, first_seed=7, base=base)
        print(client.batches.wait(batch, timeout_s=600).counts)  # "nowhere" is refused: its brief lacks a value
        for item in client.batches.results(batch):
            print(f"{item.custom_id}: {item.state}", "" if item.error is None else item.error.detail)
        client.batches.wait(variants, timeout_s=600)
        ranked = list(client.batches.results(variants, ranked=True))
        for item in ranked:
            print(item.custom_id, "no piece" if item.score is None else item.score.total)
        best = next(file for file in ranked[0].artifacts if file.format == "html")
        return client.artifacts.download(best, folder / "best.html")


if __name__ == "__main__":
    print(main(Path(sys.argv[1]), Path(sys.argv[2])))
