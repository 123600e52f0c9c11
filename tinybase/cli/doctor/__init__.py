"""``tinybase doctor``: what is wrong with an instance, and what to do about it.

One module for each group of checks. A check reports and never mends, and it imports nothing
of an extension into this process.
"""

from tinybase.cli.doctor.report import command

__all__ = ["command"]
