"""What a check reports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is: only an error makes the exit code 1."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that somebody should know.

    ``code`` names the kind of finding for scripts and stays the same; ``remedy`` is empty
    where nothing has to be done.
    """

    severity: Severity
    code: str
    what: str
    where: str
    remedy: str = ""


def error(code: str, what: str, where: object, remedy: str) -> Finding:
    """Return a finding that keeps something from working."""
    return Finding(Severity.ERROR, code, what, str(where), remedy)


def warning(code: str, what: str, where: object, remedy: str) -> Finding:
    """Return a finding that will harm sooner or later."""
    return Finding(Severity.WARNING, code, what, str(where), remedy)


def info(code: str, what: str, where: object, remedy: str = "") -> Finding:
    """Return a finding that is only good to know."""
    return Finding(Severity.INFO, code, what, str(where), remedy)
