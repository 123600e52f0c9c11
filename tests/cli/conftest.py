"""Running commands in this process, which is fast, on an instance of the test's own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

import pytest
from click.testing import CliRunner

from tinybase.cli import main

ADMIN = "admin@example.com"
PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Result:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return the one document on stdout."""
        return json.loads(self.out)


class Run(Protocol):
    """Runs a command to its end."""

    def __call__(
        self,
        *arguments: str | Path,
        stdin: str = "",
        env: Mapping[str, str | None] | None = None,
        code: int = 0,
    ) -> Result: ...


@pytest.fixture(autouse=True, scope="session")
def _keep_the_log() -> Iterator[None]:
    """Leave the log to pytest; a command would send it to a stream that is closed later."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinybase.logs.configure", lambda level, file=None: None)
        yield


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Return a runner of commands that insists on their exit code."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def run(
        *arguments: str | Path,
        stdin: str = "",
        env: Mapping[str, str | None] | None = None,
        code: int = 0,
    ) -> Result:
        # serve hands settings to its workers in the environment, which here is the test run's.
        with mock.patch.dict(os.environ), CliRunner().isolation(stdin, env) as (out, err, _):
            with pytest.raises(SystemExit) as ended:
                main([str(argument) for argument in arguments])
            result = Result(
                ended.value.code or 0,  # type: ignore[arg-type]
                out.getvalue().decode(),
                err.getvalue().decode(),
            )
        assert result.code == code, result
        assert "Traceback" not in result.out + result.err
        return result

    return run


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an instance with an admin that is only ever copied."""
    folder = tmp_path_factory.mktemp("prepared")
    with CliRunner().isolation("") as (_, err, _both):
        with pytest.raises(SystemExit) as ended:
            main(["init", str(folder), "--admin-email", ADMIN, "--admin-password", PASSWORD])
        assert not ended.value.code, err.getvalue()
    return folder


@pytest.fixture
def instance(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return an instance with an admin; commands work on it without being told."""
    folder = tmp_path / "instance"
    shutil.copytree(prepared, folder)
    monkeypatch.setenv("TINYBASE_INSTANCE", str(folder))
    return folder


ALPHA = """
import logging

from tinybase.extensions import on_function_call, on_record_create, on_startup
from tinybase.functions import register

logger = logging.getLogger(__name__)


@on_startup
def begin():
    logger.info("alpha begins")


@on_record_create(collection=["orders", "bills*"])
def write_down(event):
    raise ValueError("no\\nluck")


@on_function_call(name="pay")
async def look_at(event):
    pass


@register(name="alpha_hello", description="Say hello", auth="public")
def hello(ctx, payload):
    return {}
"""

BETA = """
from tinybase.extensions import hookimpl, on_record_create


@on_record_create(tryfirst=True)
def come_first(event):
    pass


@hookimpl
def tinybase_on_record_delete(event):
    pass
"""


def _flat(folder: Path, name: str, source: str) -> Path:
    folder.mkdir()
    order = '[extension.order]\nafter = ["beta"]\n' if name == "alpha" else ""
    (folder / "extension.toml").write_text(
        f'[extension]\nname = "{name}"\nversion = "1.0.0"\n{order}'
    )
    (folder / "__init__.py").write_text(source)
    return folder


@pytest.fixture(scope="session")
def stocked(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an instance with two extensions that is only ever copied."""
    parent = tmp_path_factory.mktemp("stocked")
    shutil.copytree(prepared, folder := parent / "instance")
    for name, source in (("alpha", ALPHA), ("beta", BETA)):
        source_folder = str(_flat(parent / name, name, source))
        with CliRunner().isolation("", {"PIP_NO_INDEX": "1"}) as (_, err, _both):
            with pytest.raises(SystemExit) as ended:
                main(["-C", str(folder), "extensions", "install", source_folder, "--yes"])
            assert not ended.value.code, err.getvalue()
    return folder


@pytest.fixture
def extended(stocked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an instance with the extensions alpha and beta; commands work on it."""
    folder = tmp_path / "extended"
    shutil.copytree(stocked, folder, symlinks=True)
    monkeypatch.setenv("TINYBASE_INSTANCE", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return folder
