"""The command line: ``tinybase``.

One file per group of commands. :func:`main` is the only place where errors become exit
codes: 0 done, 1 it could not be done, 2 wrong usage, 130 interrupted.
"""

from tinybase.cli.main import main

__all__ = ["main"]
