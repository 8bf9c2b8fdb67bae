"""interleaf composes illustrated articles and web pages from a brief, your own sources and your own pictures.

    from interleaf import Composer

    article = Composer().compose({"instruction": "How tides work", "sources": ["notes/"], "pictures": ["photos/"]})
    article.save("out.html")

or by a service:

    from interleaf import Client

    document = Client("http://127.0.0.1:8000", key).compose("brief.yaml")

Importing this loads no torch; the first composition does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "Article",
    "AsyncClient",
    "Brief",
    "Client",
    "ComposedArticle",
    "Composer",
    "Event",
    "InterleafError",
    "__version__",
]

if TYPE_CHECKING:
    from interleaf.composer import ComposedArticle, Composer
    from interleaf.errors import InterleafError
    from interleaf.schema import Article, Brief, Event
    from interleaf.service.async_client import AsyncClient
    from interleaf.service.client import Client

_HOMES = {
    "Article": "interleaf.schema",
    "AsyncClient": "interleaf.service.async_client",
    "Brief": "interleaf.schema",
    "Client": "interleaf.service.client",
    "ComposedArticle": "interleaf.composer",
    "Composer": "interleaf.composer",
    "Event": "interleaf.schema",
    "InterleafError": "interleaf.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'interleaf' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
