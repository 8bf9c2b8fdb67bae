"""interleaf composes illustrated articles and web pages."""
