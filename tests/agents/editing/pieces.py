"""Pieces to edit: an article with blocks of every kind and two figures, and strategies of edits for it."""

from __future__ import annotations

from hypothesis import strategies as st

from interleaf.schema import (
    Alternative,
    Article,
    Code,
    Figure,
    Heading,
    ListBlock,
    ListItem,
    Paragraph,
    Provenance,
    Quote,
    Report,
    Run,
    SourceSpan,
    Support,
    Table,
)
from interleaf.schema.edit import Edit, edit_adapter
from interleaf.text import clean
from tests.fakes import make_picture

HARBOUR, MILL, LOCK, BOAT = (make_picture(f"{name}.png", f"A {name}") for name in ("harbour", "mill", "lock", "boat"))
FIRST = "The sea rises twice a day. The moon pulls it."
RESTS = Provenance(
    origin="source",
    supports=(
        Support(start=0, end=26, spans=(SourceSpan(source_id="s-1", start=0, end=26),)),
        Support(start=27, end=45, spans=(SourceSpan(source_id="s-1", start=27, end=45),)),
    ),
)
WORKFLOW = Provenance(origin="workflow")


def _figure(block_id: str, picture_id: str, *others: str) -> Figure:
    return Figure(
        id=block_id,
        provenance=Provenance(origin="library"),
        picture_id=picture_id,
        caption="As found",
        alt="As found",
        credit="Jo Lind, CC-BY-4.0",
        reason="It shows what the text says.",
        score=0.7,
        alternatives=tuple(Alternative(picture_id=other, score=0.3) for other in others),
    )


PIECE = Article(
    title="Tides",
    language="en",
    blocks=(
        Heading(id="b-h1", provenance=WORKFLOW, text="Why"),
        Paragraph(id="b-p1", provenance=RESTS, text=FIRST),
        _figure("b-f1", HARBOUR.id, MILL.id),
        Paragraph(id="b-p2", provenance=WORKFLOW, text="Mills use the fall of the water."),
        ListBlock(id="b-l1", provenance=WORKFLOW, items=(ListItem(text="one", ordered=True), ListItem(text="two"))),
        Quote(id="b-q1", provenance=WORKFLOW, text="Time and tide wait for none."),
        Code(id="b-c1", provenance=WORKFLOW, text="rise = moon + sun"),
        Table(id="b-t1", provenance=WORKFLOW, header=("Port", "Metres"), rows=(("Brest", "6"),)),
        _figure("b-f2", LOCK.id),
    ),
    pictures=tuple(sorted((HARBOUR, MILL, LOCK), key=lambda picture: picture.id)),
    report=Report(words=40),
    run=Run(interleaf_version="0", writer="extractive", writer_version="1", encoder="none", brief_sha256="0" * 64),
)
PICTURES = {picture.id: picture for picture in (HARBOUR, MILL, LOCK, BOAT)}


OPS = (
    *("insert", "set_text", "delete", "move", "swap_picture", "insert_picture"),
    *("no_picture", "set_caption", "set_alt", "set_credit"),
)


@st.composite
def edits(draw: st.DrawFn, article: Article) -> Edit:
    """An edit that needs no writer, of blocks of `article` or of one that is not there."""
    ids = st.sampled_from([*(block.id for block in article.blocks), "b-none"])
    side = st.sampled_from(["before", "after"])
    text = st.text(min_size=1, max_size=60).filter(lambda said: bool(clean(said).strip()))
    op = draw(st.sampled_from(OPS))
    said: dict[str, object] = {"op": op}
    if op in ("insert", "move", "insert_picture"):
        said["place"] = {draw(side): draw(ids)}
    if op not in ("insert", "insert_picture"):
        said["block_id"] = draw(ids)
    if op in ("insert", "set_text", "set_caption", "set_alt", "set_credit"):
        said["text"] = draw(text)
    if op == "insert":
        said["kind"] = draw(st.sampled_from(["paragraph", "heading", "quote", "list", "code"]))
    if op in ("swap_picture", "insert_picture"):
        said["picture_id"] = draw(st.sampled_from(sorted(PICTURES)))
    return edit_adapter.validate_python(said)
