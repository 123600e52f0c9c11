"""What a validation finds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from tinybase.errors import Fault


class Severity(StrEnum):
    """Whether an extension cannot work, or only could be better."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    ``file`` is relative to the extension; ``code`` is the stable name of the fault,
    ``message`` says what is the case and ``remedy`` what to do.
    """

    file: str
    line: int | None
    severity: Severity
    code: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found, by file and line."""

    name: str
    version: str
    layout: str
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> int:
        """Count what keeps the extension from working."""
        return sum(item.severity is Severity.ERROR for item in self.findings)

    @property
    def warnings(self) -> int:
        """Count what could be better."""
        return len(self.findings) - self.errors


def error(file: str, line: int | None, code: str, message: str, remedy: str) -> Finding:
    """Return a finding that keeps the extension from working."""
    return Finding(file, line, Severity.ERROR, code, message, remedy)


def warning(file: str, line: int | None, code: str, message: str, remedy: str) -> Finding:
    """Return a finding about what could be better."""
    return Finding(file, line, Severity.WARNING, code, message, remedy)


def from_sentence(file: str, line: int | None, code: str, text: str) -> Finding:
    """Return an error from a message of the house: what is wrong, and then what to do."""
    message, _, remedy = text.partition(". ")
    return error(file, line, code, message.removesuffix("."), remedy or "Correct it.")


def from_fault(fault: Fault, line: int | None) -> Finding:
    """Return an error from a fault that reading the extension gave."""
    file, *keys = map(str, fault.loc)
    place = ".".join(keys) or file
    noted = re.search(r"\(at line (\d+)", fault.msg)
    return from_sentence(
        file, int(noted[1]) if noted else line, fault.type.replace("_", "-"), f"{place} {fault.msg}"
    )


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings by file and line, each once."""
    return tuple(
        sorted(
            dict.fromkeys(findings),
            key=lambda item: (item.file, item.line or 0, item.severity, item.message),
        )
    )
