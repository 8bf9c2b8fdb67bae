"""The engine: prefill, decode, sampling, grammars, beginnings that are kept."""
