"""What stands in the pages as code is code."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pages import IDS, PAGES, Block, blocks

RUN = [
    pytest.param(block, id=f"{name}:{block.line}")
    for name, page in zip(IDS, PAGES, strict=True)
    for block in blocks(page)
    if block.mark == "run"
]


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_block_is_valid_in_its_language(page: Path) -> None:
    read = {
        "python": lambda text: compile(text, str(page), "exec"),
        "toml": tomllib.loads,
        "json": json.loads,
        "bash": _check_bash,
    }
    for block in blocks(page):
        if block.language in read:
            read[block.language](block.text)


@pytest.mark.parametrize("block", RUN)
def test_a_block_that_is_marked_to_run_runs(block: Block, tmp_path: Path) -> None:
    tests = tmp_path / "test_block.py"
    tests.write_text(block.text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout


def _check_bash(text: str) -> None:
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
