"""Licence link: how a page names a licence, and the canonical address of a Creative Commons deed."""

from __future__ import annotations

import re

from interleaf.schema import canonical_licence

__all__ = ["licence_title", "licence_url"]

_CC = re.compile(r"CC-(BY(?:-(?:NC|SA|ND))*)-(1\.0|2\.0|2\.5|3\.0|4\.0)")
# The six licences there are; any order of the letters names one of them.
_KINDS = {frozenset(kind.split("-")): kind for kind in ("by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd")}


def licence_title(name: str | None) -> str:
    """`CC BY-SA 4.0` for any spelling of it; empty when no licence is stated; other names as they are."""
    licence = canonical_licence(name)
    if licence is None:
        return ""
    if licence == "CC0-1.0":
        return "CC0 1.0"
    if licence == "PDM-1.0":
        return "Public Domain Mark 1.0"
    if found := _CC.fullmatch(licence):
        kind = _KINDS.get(frozenset(found.group(1).lower().split("-")), found.group(1))
        return f"CC {kind.upper()} {found.group(2)}"
    return licence


def licence_url(name: str | None) -> str | None:
    """The deed's address for a Creative Commons licence with a version; None for everything else."""
    licence = canonical_licence(name)
    if licence == "CC0-1.0":
        return "https://creativecommons.org/publicdomain/zero/1.0/"
    if licence == "PDM-1.0":
        return "https://creativecommons.org/publicdomain/mark/1.0/"
    found = _CC.fullmatch(licence or "")
    if found is None:
        return None
    kind = _KINDS.get(frozenset(found.group(1).lower().split("-")))
    return f"https://creativecommons.org/licenses/{kind}/{found.group(2)}/" if kind else None
