"""Walking through a page as a reader would: type what it says, look at what it promises."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pages import Block
from serving import Server, clean_environment

_PRINTED = "http://127.0.0.1:8000"
_FOLLOWED_SECONDS = 1.5
"""After this time a running server has taken over a change of the extensions."""

_END = "the-end-of-a-block"
_PRELUDE = """
trap failed=1 ERR
set -o errtrace -o pipefail
curl() { command curl --fail-with-body "$@"; }
"""


class Walk:
    """A shell in a folder, and the server of the instance that the page makes or needs.

    :param instance: the folder of the instance, which may not exist yet.
    """

    def __init__(self, folder: Path, instance: Path) -> None:
        self._folder = folder
        self._instance = instance
        self._server: Server | None = None
        self._errors = (folder / "stderr.txt").open("w+")
        commands = Path(sys.executable).parent
        self._shell = subprocess.Popen(
            ["bash"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=folder,
            env=clean_environment({"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}),
        )
        self.run(_PRELUDE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._shell.communicate("exit\n", timeout=30)
        self._errors.close()
        if self._server is not None:
            self._server.__exit__(kind, error, traceback)

    def follow(self, blocks: list[Block]) -> None:
        """Do what every block says, and compare answers with those that are shown."""
        printed = ""
        for block, after in zip(blocks, [*blocks[1:], None], strict=True):
            where = f"line {block.line}"
            if block.mark == "not run":
                printed = ""
            elif block.title and "/" in block.title.lstrip("/") and block.title[0] != "/":
                self._write(block.title, block.text)
            elif block.language == "bash":
                printed = self._do(block.text, where, may_fail=_shows_an_error(after))
            elif block.language == "json" and printed.strip():
                assert matches(json.loads(block.text), json.loads(printed)), f"{where}: {printed}"
                printed = ""
            elif block.language == "text" and block.mark is None:
                for line in block.text.splitlines():
                    assert line in printed + self._said(), f"{where}: {printed}\n{self._said()}"

    def run(self, commands: str) -> tuple[str, bool]:
        """Return what commands print, and whether each of them succeeded.

        Whatever they ask is answered with yes.
        """
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"failed=0\n{{\n{commands}\n}} <<< y\necho\necho {_END} $failed\n")
        self._shell.stdin.flush()
        lines = []
        for line in self._shell.stdout:
            if line.startswith(_END):
                return "".join(lines), line.split()[1] == "0"
            lines.append(line)
        raise AssertionError(f"the shell ended: {''.join(lines)}{self._said()}")

    def _do(self, commands: str, where: str, *, may_fail: bool) -> str:
        if commands.rstrip().endswith(" serve"):
            self._serve()
            return ""
        if _PRINTED in commands:
            commands = commands.replace(_PRINTED, self._serve().url)
        printed, succeeded = self.run(commands)
        if self._server is not None and "tinybase extensions" in commands:
            time.sleep(_FOLLOWED_SECONDS)
        assert succeeded or may_fail, f"{where}: {commands}\n{printed}\n{self._said()}"
        return printed

    def _serve(self) -> Server:
        if self._server is None:
            limits_off = {"TINYBASE_RATE_LIMIT_ENABLED": "false"}
            self._server = Server(self._instance, "--workers", "1", env=limits_off)
            self._server.__enter__()
        return self._server

    def _write(self, name: str, text: str) -> None:
        path = self._folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")

    def _said(self) -> str:
        return Path(self._errors.name).read_text("utf-8")


def _shows_an_error(block: Block | None) -> bool:
    return block is not None and block.language == "json" and '"code"' in block.text


def matches(shown: Any, real: Any) -> bool:
    """Say whether an answer is the one that is shown; ``…`` stands for anything."""
    if shown == "…":
        return True
    if isinstance(shown, dict) and isinstance(real, dict):
        return shown.keys() == real.keys() and all(matches(shown[k], real[k]) for k in shown)
    if isinstance(shown, list) and isinstance(real, list):
        return len(shown) == len(real) and all(map(matches, shown, real))
    return bool(shown == real)
