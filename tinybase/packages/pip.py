"""Everything that pip does for us. No other file runs it."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from tinybase.errors import Conflict, TinyBaseError, Unavailable, one_line
from tinybase.packages import environment
from tinybase.packages.process import Finished, Overdue, run

_TIMEOUT = 900.0
_UNREACHABLE = re.compile(
    r"Retrying \(|NameResolutionError|NewConnectionError|ConnectTimeoutError|ProxyError"
)
_MISSING = re.compile(r"No matching distribution found for ([^\s;]+)")


@dataclass(frozen=True, slots=True)
class Resolved:
    """A package that pip would add.

    ``requirement`` is how to get exactly it, and ``sha256`` the digest of what the index
    has, which may be a source archive. One that is not ``from_index`` has an address.
    """

    name: str
    version: str
    description: str
    author: str
    requirement: str = ""
    sha256: str | None = None
    from_index: bool = True


class Pip:
    """pip, as a child process that sees nothing it should not.

    :param folder: a temporary folder for what pip reads and writes.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str] = os.environ) -> None:
        self._folder = folder
        self._environ = environ

    def resolve(
        self,
        roots: Sequence[str],
        *,
        links: Path,
        constraints: Mapping[str, str],
        only_wheels: bool,
    ) -> list[Resolved]:
        """Find a set of packages that satisfies all roots together; install nothing.

        :param links: a folder of wheels that may be used besides the index.
        :param constraints: the only versions that these packages may have.
        :param only_wheels: leave out packages that would have to be built, so that no code
            of theirs runs.
        :raises Conflict: ``dependency_conflict``, with pip's explanation.
        :raises Unavailable: ``source_unavailable``, when the index cannot be reached.
        """
        report = self._folder / "report.json"
        pinned = self._folder / "constraints.txt"
        pinned.write_text("".join(f"{name}=={version}\n" for name, version in constraints.items()))
        finished = self._pip(
            "install",
            "--dry-run",
            f"--report={report}",
            f"--find-links={links}",
            f"--constraint={pinned}",
            *(["--only-binary=:all:"] if only_wheels else []),
            "--",
            *roots,
        )
        if not finished.succeeded:
            raise _resolution_failure(finished)
        found = json.loads(report.read_text("utf-8"))["install"]
        return [_resolved(item) for item in found]

    def wheels(
        self, packages: Iterable[Resolved], into: Path, *, from_source: bool = False
    ) -> None:
        """Get or build the wheels of exactly these packages.

        What comes from an index must have the digest that it had when it was resolved.

        :param from_source: build them, whatever wheels the index has.
        """
        requirements = self._folder / "wheels.txt"
        packages = list(packages)
        lines = [_pinned(package) for package in packages]
        if not lines:
            return
        requirements.write_text("\n".join(lines))
        only = [f"--no-binary={package.name}" for package in packages] if from_source else []
        self._wheel(into, *only, f"--requirement={requirements}")

    def build(self, source: Path, into: Path) -> Path:
        """Build the wheel of a source tree with its own backend: this runs foreign code."""
        before = set(into.iterdir())
        self._wheel(into, "--", str(source))
        (built,) = set(into.iterdir()) - before
        return built

    def editable(self, source: Path, target: Path) -> None:
        """Install a source tree so that it is imported from where it is."""
        self._checked(
            self._pip(
                "install",
                "--no-deps",
                "--no-compile",
                f"--target={target}",
                f"--editable={source}",
            ),
            f"{source} cannot be installed as editable",
        )

    def install(self, pins: Mapping[str, tuple[str, str]], *, links: Path, target: Path) -> None:
        """Install wheels into an empty folder, after checking their digests.

        :param pins: name -> version and SHA-256.
        """
        requirements = self._folder / "pins.txt"
        requirements.write_text(
            "".join(
                f"{name}=={version} --hash=sha256:{digest}\n"
                for name, (version, digest) in pins.items()
            )
        )
        finished = self._pip(
            "install",
            "--no-deps",
            "--require-hashes",
            "--no-compile",
            f"--find-links={links}",
            f"--target={target}",
            f"--requirement={requirements}",
            alone=True,
        )
        self._checked(finished, "The packages cannot be installed")

    def _wheel(self, into: Path, *arguments: str) -> None:
        finished = self._pip("wheel", "--no-deps", f"--wheel-dir={into}", *arguments)
        self._checked(finished, "A package cannot be built")

    def _checked(self, finished: Finished, what: str) -> None:
        if finished.succeeded:
            return
        if _is_unreachable(finished):
            raise _no_index()
        reason = _last_error(finished)
        if missing := _MISSING.search(finished.stderr):
            reason = f"the package index has no {missing[1]} that fits"
        raise TinyBaseError(
            f"{what}: {reason}. Tell its author; nothing was changed.",
            code="manifest_invalid",
        )

    def _pip(self, command: str, *arguments: str, alone: bool = False) -> Finished:
        environ = environment.for_pip_alone if alone else environment.for_pip
        options = ["--no-index"] if alone else []
        # -P keeps the working folder off the path, where a pip.py might be waiting.
        line = [sys.executable, "-P", "-m", "pip", command, "--no-color", *options, *arguments]
        # What pip or a build leaves behind when it is killed goes with the folder.
        temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(self._folder))
        try:
            return run(
                line,
                environ=environ(self._environ) | temporary,
                cwd=self._folder,
                timeout=_TIMEOUT,
            )
        except Overdue as error:
            raise Unavailable(
                f"pip {command} took longer than {_TIMEOUT:g} s. Check the network and try again.",
                code="source_unavailable",
            ) from error


def _resolved(item: Mapping[str, Any]) -> Resolved:
    metadata, download = item["metadata"], item["download_info"]
    name, version = canonicalize_name(metadata["name"]), metadata["version"]
    hashes = download.get("archive_info", {}).get("hashes", {})
    commit = download.get("vcs_info", {}).get("commit_id")
    requirement = f"{name}=={version}"
    if item.get("is_direct"):
        address = f"git+{download['url']}@{commit}" if commit else download["url"]
        requirement = f"{name} @ {address}"
    return Resolved(
        name=name,
        version=version,
        description=metadata.get("summary", ""),
        author=metadata.get("author") or metadata.get("author_email", ""),
        requirement=requirement,
        sha256=hashes.get("sha256"),
        from_index=not item.get("is_direct"),
    )


def _pinned(package: Resolved) -> str:
    if package.sha256 is None:
        return package.requirement
    return f"{package.requirement} --hash=sha256:{package.sha256}"


def _resolution_failure(finished: Finished) -> TinyBaseError:
    if _is_unreachable(finished):
        return _no_index()
    text = finished.stdout + finished.stderr
    explanation = re.search(r"The conflict is caused by:\n(.*?)(?:\n\s*\n|$)", text, re.DOTALL)
    if explanation:
        lines = [line.strip() for line in explanation[1].splitlines() if line.strip()]
        return Conflict(
            f"The packages do not fit together: {'; '.join(map(_plainly, lines))}. "
            "Install a release that works with these versions.",
            code="dependency_conflict",
            conflicts=lines,
        )
    if missing := _MISSING.search(text):
        return Conflict(
            f"The package index has no {missing[1]} that fits. Correct the dependencies of the "
            "extension, or the settings of pip for another index.",
            code="dependency_conflict",
            conflicts=[missing[1]],
            missing=missing[1],
        )
    return Conflict(
        f"pip finds no set of packages that fits: {_last_error(finished)}. "
        "Tell the author of the extension.",
        code="dependency_conflict",
        conflicts=[],
    )


def _plainly(line: str) -> str:
    """Say in words of ours what pip calls a constraint of the user."""
    return re.sub(
        r"The user requested \(constraint\) (\S+?)==(\S+)",
        r"this TinyBase runs with \1 \2, which no extension may change",
        line,
    )


def _is_unreachable(finished: Finished) -> bool:
    return bool(_UNREACHABLE.search(finished.stderr + finished.stdout))


def _no_index() -> Unavailable:
    return Unavailable(
        "The package index cannot be reached. Check the network, or PIP_INDEX_URL, and try again.",
        code="source_unavailable",
    )


def _last_error(finished: Finished) -> str:
    """Return the line that says most about a failure of pip."""
    lines = [line.strip() for line in (finished.stderr or finished.stdout).splitlines()]
    errors = [line for line in lines if re.match(r"(ERROR|error): ", line)]
    telling = [line for line in lines if re.match(r"[A-Za-z_.]*(Error|Exception|Exit)\b: ?", line)]
    chosen = (telling or errors or [line for line in lines if line] or ["pip said nothing"])[-1]
    return one_line(re.sub(r"^(ERROR|error): ", "", chosen).rstrip("."))
