"""The command line. Every command imports what it needs when it runs, so that `interleaf --help` is instant."""

from interleaf.cli.app import main

__all__ = ["main"]
