"""A model of our own size: made, taught three illustrated articles, and asked for one of them. Nothing is downloaded.

    python examples/lessons/teach_and_compose.py [--home out/model-home] [--out out/demo-model]

It shows that the whole way works: published checkpoint format, tuning, and the article workflow with a language model
alone (outline, sections, spotting, captions, choosing by looking). The model is about two million numbers in size. It
knows three short articles and nothing else; a published model of seven thousand million takes its place by name.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

EXAMPLES: Final = Path(__file__).parent
ARTICLES: Final = EXAMPLES / "articles"
TITLES: Final = ("An evening in the harbour", "From grain to bread", "The railway to the snow")
MODEL, ADAPTER = "tiny", "three-articles"

# Enough for three articles, little enough for a few minutes on one core.
PIECES: Final = 900
SIZE: Final = {"hidden": 256, "layers": 3, "heads": 4, "kv_heads": 2, "intermediate": 512, "image_px": 56}
# Rows of pictures go through low-rank paths of their own, as in the published network. Here they count nearly as
# much as what all rows share, so that nothing is learned past them.
LOW_RANK: Final = 0.8
ORDERS, REPEATS = 60, 4
TEACHING: Final = {
    "rank": 64,
    "alpha": 128,
    "dropout": 0.0,
    "learning_rate": 1e-3,
    "warmup": 0.05,
    "weight_decay": 0.0,
    "epochs": 14,
    "accumulation": 2,
    "partition": "glance",
}

Told = Callable[[str, int, int], object]


def vocabulary(texts: list[str]) -> bytes:
    """A tokenizer.model of the published kind, trained on the texts that it will have to spell."""
    import sentencepiece

    out = io.BytesIO()
    unused = [f"[UNUSED_TOKEN_{number}]" for number in range(147)]
    lines = list(dict.fromkeys(line for text in texts for line in text.split("\n") if line.strip()))
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter([*lines, "user", "assistant", "system"]),
        model_writer=out,
        model_type="bpe",
        vocab_size=PIECES,
        hard_vocab_limit=False,
        byte_fallback=True,
        split_digits=True,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        allow_whitespace_only_pieces=True,
        character_coverage=1.0,
        user_defined_symbols=unused,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return out.getvalue()


def made(home: Path) -> int:
    """Lessons out of the articles, and a model of random numbers on the shelf of `home`; the number of lessons."""
    import sentencepiece
    import torch

    from model.weights.seeded import write_checkpoint
    from model.weights.shelf import ModelShelf
    from workers.teaching.lessons import SET_FILE, read_articles, write_lessons

    articles, pictures = read_articles(ARTICLES)
    count = write_lessons(articles, pictures, home / "lessons", orders=ORDERS, repeats=REPEATS)
    said = json.loads((home / "lessons" / SET_FILE).read_text(encoding="utf-8"))
    pieces = vocabulary([turn["value"] for lesson in said for turn in lesson["conversations"]])
    size = sentencepiece.SentencePieceProcessor(model_proto=pieces).vocab_size()
    folder = home / "checkpoint"
    sizes: dict[str, Any] = {**SIZE, "vocab": size + 1, "max_position": 4_096}
    write_checkpoint(folder, "2d5-7b", dtype=torch.float32, adapters=False, low_rank=LOW_RANK, **sizes)
    (folder / "tokenizer.model").write_bytes(pieces)
    ModelShelf(home / "models").add(folder, name=MODEL)
    shutil.rmtree(folder)
    return count


def taught(home: Path, on_progress: Told = lambda stage, done, total: None) -> tuple[float, float]:
    """Teach the model its lessons; an adapter on the shelf. The losses of the first and the last step."""
    from model.prompts.processor import XComposerProcessor
    from model.teaching.teaching import Teaching, teach
    from model.weights.loading import load_model
    from workers.teaching.lessons import SET_FILE

    folder = home / "models" / MODEL
    model, processor = load_model(folder), XComposerProcessor.from_folder(folder)
    data, out = home / "lessons" / SET_FILE, home / "adapters" / ADAPTER
    settings = Teaching(**TEACHING)  # type: ignore[arg-type]
    return teach(model, processor, data, out, settings, resume=True, base=MODEL, on_progress=on_progress).losses


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path("out/model-home"), help="where model and adapter are kept")
    parser.add_argument("--out", type=Path, default=Path("out/demo-model"), help="where the page goes")
    asked = parser.parse_args()

    import torch

    from interleaf import Composer, approot
    from interleaf.cli.progress_bar import progress_bar
    from interleaf.foreign_logs import hush, hush_progress

    approot.enter()
    hush()
    hush_progress()
    # Products of this size are slower on two threads than on one.
    torch.set_num_threads(1)
    home: Path = asked.home.absolute()
    begun = time.monotonic()
    if not (home / "adapters" / ADAPTER / "teaching.json").is_file():
        if not (home / "models" / MODEL).is_dir():
            print(f"1/3  a model of random numbers and {made(home)} lessons from {len(TITLES)} articles")
        print("2/3  teaching it (a few minutes)")
        with progress_bar(quiet=False) as told:
            first, last = taught(home, told)
        curve = asked.home / "adapters" / ADAPTER / "loss.png"
        print(f"     loss {first:.2f} → {last:.2f}, drawn in {curve}")
    print("3/3  composing through the model alone")
    article = Composer(home=home).compose(
        {
            "instruction": f"Write an illustrated article: {TITLES[0]}",
            "language": "en",
            "pictures": [str(ARTICLES / "pictures")],
            "writer": f"{MODEL}+{ADAPTER}",
        }
    )
    page = article.export("html", asked.out)
    print(f"\n{article.title}: {page}")
    for block in article.document.blocks:
        if block.type == "figure":
            print(f"  [{article.document.picture(block.picture_id).name}] {block.reason}")
        else:
            print(f"  {block.text}")
    print(
        f"\nWhat this is: a network of the published form with {_size(home)} weights, random but for what it was just "
        "taught. It\nlearned three short articles by heart and to tell four pictures apart; it can say nothing else. "
        "That it gives one back,\nwith its pictures found by looking, shows that every step works. For a model that "
        "knows the world:\n  interleaf models add internlm/internlm-xcomposer2d5-7b --download"
    )
    print(f"({time.monotonic() - begun:.0f} s)")
    return 0


def _size(home: Path) -> str:
    from model.weights.manifest import read_manifest

    return f"{read_manifest(home / 'models' / MODEL).nbytes / 4e6:.1f} million"


if __name__ == "__main__":
    sys.exit(main())
