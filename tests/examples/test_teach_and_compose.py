"""The proof of the whole: a model made here, taught three illustrated articles, gives them back through the workflow.

Outline, sections, places, captions and pictures come from the model alone; the pictures by looking at them: under
exchanged names it finds the same pixels, and with the paths of the picture rows zeroed it no longer finds them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from agents.extractive import ExtractiveWriter
from agents.model_writer import ModelWriter
from agents.notes.document import read_document
from examples.lessons.teach_and_compose import ADAPTER, ARTICLES, MODEL, TITLES, made, taught
from interleaf import Composer
from interleaf.composer import ComposedArticle
from interleaf.schema import Brief, SourceText
from interleaf.text import fold_space
from model.inference.engines import open_engine
from model.network.plora import PartialLoraLinear
from tests.fakes import HashingEmbedder
from workers.composing import Composing
from workers.run.mind import EngineMind
from workers.run.minds import close_minds
from workers.run.picture_shelf import PictureShelf
from workers.run.run_folder import RunFolder
from workers.run.source_file import source_id
from workers.settings import Settings

# The model is taught within the first test's time.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]

FILES = ("harbour.md", "mill.md", "railway.md")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The model and its adapter, taught once for all tests here: some minutes on one core."""
    place = tmp_path_factory.mktemp("home")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # products of this size are slower on two
    made(place)
    first, last = taught(place)
    assert last < 0.2 < first
    yield place
    close_minds()
    torch.set_num_threads(threads)


def brief(title: str, pictures: Path) -> dict[str, object]:
    return {
        "instruction": f"Write an illustrated article: {title}",
        "language": "en",
        "pictures": [str(pictures)],
        "writer": f"{MODEL}+{ADAPTER}",
    }


def told(number: int) -> tuple[str, list[tuple[str, str]]]:
    """What the article in the examples says: its title, and its blocks as (kind, words or picture's name)."""
    text = (ARTICLES / FILES[number]).read_text(encoding="utf-8")
    document = read_document(SourceText(id=source_id(text), name=FILES[number], text=text))
    blocks: list[tuple[str, str]] = []
    for block in document.blocks:
        if block.kind == "image":
            blocks += [("figure", Path(document.images[k].path).name) for k in block.images]
        elif block.level != 1:
            blocks.append((block.kind, fold_space(block.text)))
    return document.title, blocks


def said(article: ComposedArticle) -> tuple[str, list[tuple[str, str]]]:
    document = article.document
    return document.title, [
        (block.type, document.picture(block.picture_id).name if block.type == "figure" else block.text)
        for block in document.blocks
    ]


@pytest.mark.parametrize("number", range(3))
def test_through_the_model_alone_the_workflow_gives_back_an_article(home: Path, number: int) -> None:
    article = Composer(home=home).compose(brief(TITLES[number], ARTICLES / "pictures"))
    assert said(article) == told(number)
    assert article.run.writer == f"{MODEL}+{ADAPTER}" and article.run.writer_version.startswith("xcomposer-")
    assert all("by looking" in figure.reason for figure in article.figures)


def test_with_the_pictures_exchanged_it_chooses_otherwise(home: Path, tmp_path: Path) -> None:
    """Each file gets the pixels of another. The same pixels are found, so every name differs."""
    names = sorted(path.name for path in (ARTICLES / "pictures").glob("*.png"))
    for name, other in zip(names, names[1:] + names[:1], strict=True):
        shutil.copy(ARTICLES / "pictures" / other, tmp_path / name)
    renamed = dict(zip(names[1:] + names[:1], names, strict=True))
    article = Composer(home=home).compose(brief(TITLES[0], tmp_path))
    _, wanted = told(0)
    figures = [name for kind, name in said(article)[1] if kind == "figure"]
    assert figures == [renamed[name] for kind, name in wanted if kind == "figure"]


def test_a_picture_that_is_not_there_is_not_chosen(home: Path, tmp_path: Path) -> None:
    shutil.copytree(ARTICLES / "pictures", tmp_path / "pictures", ignore=shutil.ignore_patterns("lighthouse.png"))
    article = Composer(home=home).compose(brief(TITLES[0], tmp_path / "pictures"))
    figures = [name for kind, name in said(article)[1] if kind == "figure"]
    assert len(figures) == 2 and "lighthouse.png" not in figures


def test_with_the_paths_of_picture_rows_zeroed_it_fails(home: Path) -> None:
    """What the network does with pictures hangs on its partial low-rank paths: without them the words stay, and the
    pictures are no longer found."""
    engine = open_engine(home / "models" / MODEL, adapter=home / "adapters" / ADAPTER)
    network = engine._model  # type: ignore[attr-defined]
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, PartialLoraLinear):
                for name, parameter in module.named_parameters():
                    if name.startswith("Plora"):
                        parameter.zero_()
    wrong = 0
    for number in range(3):
        settings = Settings(home=home)
        folder = RunFolder.at(settings.runs_dir, f"zeroed-{number}")
        pixels = PictureShelf(folder, settings.library_dir).path
        mind = EngineMind(engine, pixels, family="xcomposer", glance="glance")
        composing = Composing(folder, settings, writer=ModelWriter(mind, HashingEmbedder()))
        for _ in composing.stream(Brief.model_validate(brief(TITLES[number], ARTICLES / "pictures"))):
            pass
        assert composing.article is not None
        blocks = [
            (b.type, composing.article.picture(b.picture_id).name if b.type == "figure" else b.text)
            for b in composing.article.blocks
        ]
        wanted = told(number)[1]
        assert [b for b in blocks if b[0] != "figure"] == [b for b in wanted if b[0] != "figure"]
        wrong += sum(b not in blocks for b in wanted if b[0] == "figure")
    assert wrong > 0, "of four pictures"


def test_the_extractive_writer_would_not_do() -> None:
    """What is proved above is the model's work: the default writer refuses this brief, for it has no notes."""
    from agents.context import OutlineTask
    from interleaf.errors import InvalidBrief

    task = OutlineTask(Brief(instruction=f"Write an illustrated article: {TITLES[0]}"), (), "en")
    with pytest.raises(InvalidBrief, match="sources"):
        ExtractiveWriter(HashingEmbedder()).outline(task)
