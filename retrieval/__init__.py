"""The picture library: ingest, catalog, embedder, index, search. Knows nothing of articles."""
