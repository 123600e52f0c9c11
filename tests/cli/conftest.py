"""Running commands in this process, which is fast, on an instance of the test's own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

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
        patch.setattr("tinybase.logs.configure", lambda level: None)
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
        with CliRunner().isolation(stdin, env) as (out, err, _):
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
