"""Benchmark: how far estimates are off, and how often the truth lies inside what they state.

    python -m benchmarks.estimate [--jobs 50] [--set ../shared/eval/dev] [--seed 1]
    python -m benchmarks.estimate --model --jobs 25   # through a small language model: tokens are written
    python -m benchmarks.estimate --from FILE         # jobs that were kept, estimated anew

A service of real processes (`interleaf serve`) makes pieces of sizes drawn over an order of magnitude: 100 to 1,200
words out of one to four articles of the set, each used once (then out of the demo's notes), with none to all of their
pictures, in one to three formats. Before each, `POST /v1/jobs:estimate` is asked what it will take, by the client's own
way, so it knows what a person's estimate knows: the jobs that were made before. Compared is with what the job then says
that it used.

The error of an estimate is |estimate - truth| / truth (of a truth below one: divided by one). The baseline is what
somebody says who only knows the mean of the jobs before. Jobs count from the first on whose estimate states an error.
`inside the stated error`: the truth lies within likely ± error, which is a median, so half of them should; `inside low
to high`: which says tenths at both ends, so four of five should.

Leans against us: the sizes differ more than those of one person's pieces do, and the machine's other work moves the
seconds. Leans in ours: all pieces go one after another over one machine, and no notes come twice. With `--model` the
network is of random numbers and writes until it is stopped: its lengths vary less than those of one that knows when to
end.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.served import ROOT, Served, served
from evals.articleset import IllustratedArticle, read_articles
from evals.composing import as_markdown
from interleaf.brief_file import brief_from
from interleaf.service.brief_sending import unsent
from workers.store.estimates import Order, PastJob, Span, estimate
from workers.store.past_jobs import MOST

WORDS: Final = (100, 1_200)
MOST_ARTICLES: Final = 4
FORMATS: Final = (["html"], ["html", "md"], ["html", "md", "json"])
MODEL: Final = "tiny"
# A model of this size has 4,096 tokens for the question and the answer.
MODEL_WORDS: Final = (50, 160)
JOB_S: Final = 900.0
MEASURES: Final = ("seconds", "tokens", "pictures")


@dataclass(frozen=True)
class Made:
    """A piece that was made, what was known of it before, and what was said of it then."""

    order: Order
    result: dict[str, Any]
    seconds: float
    tokens: int
    said: dict[str, Span]

    @property
    def past(self) -> PastJob:
        found = PastJob.of(self.result, self.seconds, self.tokens)
        assert found is not None, "a piece that succeeded says what it is"
        return found

    @property
    def truth(self) -> dict[str, float]:
        return {
            "seconds": self.seconds,
            "tokens": float(self.tokens),
            "pictures": float(self.past.pictures_placed),
        }


# The pieces


def briefs(options: argparse.Namespace, folder: Path) -> Iterator[dict[str, Any]]:
    """Briefs of sizes by chance, the same ones for the same seed."""
    chance = random.Random(options.seed)
    left: dict[str, list[IllustratedArticle]] = {}
    for article in read_articles(options.set) if options.set.is_dir() else ():
        left.setdefault(article.source, []).append(article)
    least, most = MODEL_WORDS if options.model else WORDS
    for number in range(options.jobs):
        drawn = folder / f"{number:03}"
        drawn.mkdir(parents=True)
        if not left:
            notes = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "examples/tides/notes").glob("*.md"))]
            notes = chance.sample(notes, chance.randint(1, len(notes)))
            pictures = sorted(path for path in (ROOT / "examples/tides/pictures").iterdir() if path.suffix != ".csv")
        else:
            # Each is used once: an encoder that has seen a text does not need its time again.
            source = chance.choice([source for source in sorted(left) for _ in left[source]])
            most_articles = min(len(left[source]), 1 if options.model else MOST_ARTICLES)
            some = chance.sample(left[source], round(math.exp(chance.uniform(0, math.log(most_articles)))))
            left[source] = [article for article in left[source] if article not in some]
            if not left[source]:
                del left[source]
            notes = [as_markdown(article) for article in some]
            pictures = [options.set / "images" / Path(path).name for one in some for path in one.image_paths]
        for n, note in enumerate(notes):
            (drawn / f"{n}.md").write_text(note, encoding="utf-8")
        shown = chance.sample(
            pictures, min(len(pictures), chance.choice((0, 2) if options.model else (0, 2, 5, 10, 20)))
        )
        yield {
            "instruction": "Explain what these notes tell, in order, for somebody who is new to it.",
            "sources": [{"path": str(drawn / f"{n}.md")} for n in range(len(notes))],
            "pictures": [{"path": str(path.resolve())} for path in sorted(set(shown))],
            "length_words": round(math.exp(chance.uniform(math.log(least), math.log(most)))),
            "formats": chance.choice(FORMATS),
            "seed": number,
            **({"writer": MODEL} if options.model else {}),
        }


def made(service: Served, options: argparse.Namespace, folder: Path) -> Iterator[Made]:
    """One piece after another, each estimated before it is ordered."""
    with service.client() as client:
        for number, fields in enumerate(briefs(options, folder), 1):
            rest = unsent(brief_from(fields), Path("/"))
            order = Order.of(rest.brief, (), rest.source_bytes, rest.pictures)
            told = client.estimate(fields)
            said = {name: Span(**getattr(told, name).model_dump()) for name in MEASURES}
            job = client.jobs.get(client.jobs.create(fields).id).wait(JOB_S).record
            if job.state != "succeeded" or job.result is None:
                print(f"{number}: {job.state} {job.error}", flush=True)
                continue
            yield Made(order, job.result.model_dump(mode="json"), job.use.seconds, job.use.tokens, said)
            print(
                f"{number}: {order.words} words of {order.source_chars:,} characters, {order.pictures} pictures: "
                f"{said['seconds'].likely:.2f} s estimated, {job.use.seconds:.2f} s used",
                flush=True,
            )


def again(path: Path) -> Iterator[Made]:
    """The kept pieces, estimated anew."""
    past: list[PastJob] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        kept = json.loads(line)
        order = Order(**kept["order"])
        found = estimate(order, list(reversed(past))[:MOST])
        said = {name: getattr(found, name) for name in MEASURES}
        one = Made(order, kept["result"], kept["seconds"], kept["tokens"], said)
        yield one
        past.append(one.past)


def keep(one: Made, path: Path) -> None:
    """Write it down behind those before."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({name: value for name, value in asdict(one).items() if name != "said"}) + "\n")


# The errors


def off(said: float, truth: float) -> float:
    return abs(said - truth) / max(truth, 1.0)


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def judged(pieces: Sequence[Made]) -> None:
    print(
        "\n| what | jobs | error: median | p90 | mean of the past: median | p90 | ratio of medians | stated error | "
        "inside it | inside low to high |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for name in MEASURES:
        ours: list[float] = []
        base: list[float] = []
        stated: list[float] = []
        within: list[bool] = []
        between: list[bool] = []
        for n, one in enumerate(pieces):
            span, truth = one.said[name], one.truth[name]
            # What could not be otherwise is no estimate.
            if span.error is None or (name == "pictures" and one.order.pictures == 0):
                continue
            ours.append(off(span.likely, truth))
            base.append(off(statistics.mean(before.truth[name] for before in pieces[:n]), truth))
            stated.append(span.error)
            within.append(ours[-1] <= span.error + 1e-9)
            between.append(span.low - 1e-3 <= truth <= span.high + 1e-3)
        if not ours:
            print(f"| {name} | 0 | | | | | | | | |")
            continue
        middle, other = statistics.median(ours), statistics.median(base)
        print(
            f"| {name} | {len(ours)} | {middle:.3f} | {quantile(ours, 0.9):.3f} | {other:.3f} | "
            f"{quantile(base, 0.9):.3f} | {middle / other if other else 1.0 if middle == 0 else math.inf:.2f} | "
            f"{statistics.median(stated):.3f} | {sum(within) / len(within):.0%} | {sum(between) / len(between):.0%} |"
        )


def add_model(home: Path) -> None:
    """A language model of random numbers on the shelf of the service, two million of them."""
    from examples.lessons.teach_and_compose import made as make

    make(home)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--set", type=Path, default=ROOT.parent / "shared/eval/dev", help="an article set")
    parser.add_argument("--seed", type=int, default=1, help="of the sizes")
    parser.add_argument("--model", action="store_true", help="by a small language model that is made for it")
    parser.add_argument("--keep", type=Path, help="write the jobs there, as they end")
    parser.add_argument("--from", type=Path, dest="kept", help="instead: the jobs that were kept, estimated anew")
    options = parser.parse_args()
    begun = time.perf_counter()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    if options.kept:
        judged(list(again(options.kept)))
        return
    folder, pieces = Path(tempfile.mkdtemp(prefix="interleaf-bench-estimate-")), list[Made]()
    try:
        if options.model:
            add_model(folder / "home")
        with served(folder / "home") as service:
            for one in made(service, options, folder / "notes"):
                pieces.append(one)
                if options.keep:
                    keep(one, options.keep)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    judged(pieces)
    print(f"\n{time.perf_counter() - begun:.0f} s, load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
