"""The command line. `main` is the entry point; each group of commands has a file of its own."""

from tidings.cli.root import main

__all__ = ["main"]
