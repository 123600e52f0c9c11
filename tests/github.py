"""Repositories on a GitHub of our own: git finds them under their real addresses."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write files into a folder and return it."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


@dataclass
class Hub:
    """The repositories of ``https://github.com/user``, which git finds in a folder."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that lead git here; nothing leaves the machine."""
        return {
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.file://{self.folder}/.insteadOf",
            "GIT_CONFIG_VALUE_0": "https://github.com/",
            "TINYBASE_EXTENSIONS_GIT_PROTOCOLS": "https,ssh,file",
        }

    def repository(self, name: str, files: Mapping[str, str], *, tag: str | None = "v1.0.0") -> str:
        """Commit files to a repository, new or known, and return its address."""
        root = self.folder / "user" / name
        if not root.exists():
            root.mkdir(parents=True)
            self.git(name, "init", "--quiet", "--initial-branch=main")
        write(root, files)
        self.git(name, "add", "--all", "--force")
        self.git(name, "commit", "--quiet", "--message=x", "--allow-empty")
        if tag:
            self.git(name, "tag", tag)
        return f"https://github.com/user/{name}"

    def git(self, name: str, *arguments: str) -> str:
        """Run git in a repository and return what it printed."""
        identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
        return subprocess.run(
            ["git", *identity, *arguments],
            cwd=self.folder / "user" / name,
            env={**os.environ, **self.environment},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
