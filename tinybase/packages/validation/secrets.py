"""Secrets that somebody left in the files of an extension."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tinybase.packages.validation.findings import Finding, error, warning
from tinybase.packages.validation.source import Module

_MAX_BYTES = 1024 * 1024
_REMEDY = "Remove it, revoke it, and read it from an environment variable: os.environ."

_FORMS: Mapping[str, re.Pattern[str]] = {
    what: re.compile(form)
    for what, form in {
        "an access key of AWS": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
        "a token of GitHub": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{40,})",
        "a token of GitLab": r"\bglpat-[\w-]{20,}",
        "a token of Slack": r"\bxox[abprs]-[A-Za-z0-9-]{20,}",
        "a key of Stripe": r"\b[rs]k_live_[A-Za-z0-9]{20,}",
        "a key of Google": r"\bAIza[\w-]{35}",
        "a key of OpenAI or Anthropic": r"\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}",
        "a key of SendGrid": r"\bSG\.[\w-]{20,}\.[\w-]{20,}",
        "a token of PyPI": r"\bpypi-AgE[\w-]{50,}",
        "a token of npm": r"\bnpm_[A-Za-z0-9]{36}",
        "a private key": r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----",
        "a signed token": r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}",
    }.items()
}
_ADDRESS = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s:/@'\"{}$<>]+:([^\s:/@'\"{}$<>]{6,})@")
_NAME = re.compile(
    r"(?:^|_)(?:password|passwd|pwd|secret|token|api_?key|access_?key|private_?key)s?$", re.I
)
_PLACEHOLDER = re.compile(
    r"^$|[<>{}$\s]|\.\.\.|x{4,}|\*{3,}|change.?me|example|placeholder|your[_-]|dummy|default", re.I
)
_SAID_TO_BE_NONE = re.compile(r"#\s*(?:noqa:.*\bS10[567]|nosec\b)", re.I)


def in_files(root: Path, files: Iterable[Path]) -> Iterator[Finding]:
    """Yield what has the form of a secret that some service has issued."""
    for path in files:
        name = path.relative_to(root).as_posix()
        for number, line in enumerate(_lines(path), 1):
            for what in _found(line):
                yield error(name, number, "secret", f"it contains {what}", _REMEDY)


def in_code(modules: Iterable[Module]) -> Iterator[Finding]:
    """Yield texts that are given names which say that they are secret."""
    for module in modules:
        lines = module.source.splitlines()
        for name, value in _named_texts(module.tree):
            is_short = len(value.value) < 8  # type: ignore[arg-type]
            if is_short or not _NAME.search(name) or _PLACEHOLDER.search(str(value.value)):
                continue
            # A name that says where to find a secret: TOKEN = "MY_EXTENSION_TOKEN".
            if re.fullmatch(r"[A-Z][A-Z0-9_]*|[a-z][a-z_]*", str(value.value)):
                continue
            if not _SAID_TO_BE_NONE.search(lines[value.lineno - 1]):
                message = f"{name} looks like a secret"
                yield warning(module.file, value.lineno, "secret", message, _REMEDY)


def _found(line: str) -> Iterator[str]:
    if _SAID_TO_BE_NONE.search(line):
        return
    yield from (what for what, form in _FORMS.items() if form.search(line))
    address = _ADDRESS.search(line)
    if address and not _PLACEHOLDER.search(address[1]) and not _NAME.search(address[1]):
        yield "an address with a password"


def _lines(path: Path) -> list[str]:
    try:
        if path.is_symlink() or path.stat().st_size > _MAX_BYTES:
            return []
        content = path.read_bytes()
    except OSError:
        return []
    return [] if b"\0" in content else content.decode("utf-8", errors="replace").splitlines()


def _named_texts(tree: ast.Module) -> Iterator[tuple[str, ast.Constant]]:
    """Yield assignments, keyword arguments and defaults that are written out as texts."""
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=targets, value=ast.Constant(value=str()) as value):
                yield from ((_name_of(target), value) for target in targets)
            case ast.AnnAssign(target=target, value=ast.Constant(value=str()) as value):
                yield _name_of(target), value
            case ast.keyword(arg=str(name), value=ast.Constant(value=str()) as value):
                yield name, value
            case ast.Dict(keys=keys, values=values):
                for key, item in zip(keys, values, strict=True):
                    if isinstance(item, ast.Constant) and isinstance(item.value, str):
                        yield _name_of(key), item


def _name_of(target: ast.expr | None) -> str:
    match target:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Constant(value=str(name)):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
    return ""
