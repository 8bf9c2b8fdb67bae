"""The words that everyone shares: pydantic values with a published JSON Schema."""

from interleaf.schema.article import (
    Alternative,
    Article,
    Block,
    Code,
    Figure,
    Heading,
    ListBlock,
    ListItem,
    Paragraph,
    Provenance,
    Quote,
    Support,
    Table,
    TextBlock,
)
from interleaf.schema.brief import Approvals, Brief, Budget, GivenPicture
from interleaf.schema.event import Event, Stage
from interleaf.schema.licence import LicencePolicy, canonical_licence
from interleaf.schema.outline import Outline, OutlineSection
from interleaf.schema.picture import Picture, PictureFilter, PictureHit, PictureQuery
from interleaf.schema.report import Notice, Report
from interleaf.schema.run import Run
from interleaf.schema.source import Source, SourceRecord, SourceSpan, SourceText
from interleaf.schema.word import SCHEMA_VERSION

__all__ = [
    "SCHEMA_VERSION",
    "Alternative",
    "Approvals",
    "Article",
    "Block",
    "Brief",
    "Budget",
    "Code",
    "Event",
    "Figure",
    "GivenPicture",
    "Heading",
    "LicencePolicy",
    "ListBlock",
    "ListItem",
    "Notice",
    "Outline",
    "OutlineSection",
    "Paragraph",
    "Picture",
    "PictureFilter",
    "PictureHit",
    "PictureQuery",
    "Provenance",
    "Quote",
    "Report",
    "Run",
    "Source",
    "SourceRecord",
    "SourceSpan",
    "SourceText",
    "Stage",
    "Support",
    "Table",
    "TextBlock",
    "canonical_licence",
]
