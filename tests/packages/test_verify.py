"""Trying extensions out in a process of their own."""

from __future__ import annotations

import os
import zipfile

import pytest
from github import write

from tinybase import config
from tinybase.host.desired import Wish
from tinybase.host.snapshot import ExtensionState
from tinybase.packages import build
from tinybase.packages.verify import Verifier, remedy

from .conftest import HELLO, flat
from .samples import WITH_FUNCTION

BROKEN = {
    "raises": ("raise RuntimeError('boom at import')", "RuntimeError: boom at import"),
    "misspelt": ("def broken(:", "SyntaxError"),
    "exits": ("raise SystemExit(3)", "exit code 3"),
    "dies": ("import os; os._exit(7)", "importing it ended the process with exit code 7"),
    "crashes": ("import os; os.abort()", "importing it crashed the process (signal 6)"),
    "undeclared": ("import yaml_absent", "No module named 'yaml_absent'"),
    "torn": ("from . import absent_module", "absent_module"),
    "misused": (
        "from tinybase.extensions import on_record_create\n"
        "@on_record_create(colection='x')\ndef f(event): pass",
        "colection",
    ),
    "hangs": ("import time; time.sleep(60)", "longer than 1 s"),
    "later": (WITH_FUNCTION.format(name="earlier"), "earlier"),
}
SIGNS_IN = ("TINYBASE_GIT_TOKEN", "PIP_INDEX_URL", "SSH_AUTH_SOCK", "GIT_CONFIG_VALUE_0")
READS = f"""
import os
assert os.environ["SLACK_TOKEN"] == "its own"
assert not os.environ.keys() & {set(SIGNS_IN)}
"""
FINE = {
    "reads-its-settings-and-no-more": READS,
    "fine": HELLO,
    "earlier": WITH_FUNCTION.format(name="earlier"),
    "noisy": "print('{}' * 10_000)",
    "keeps-a-thread": "import threading\nthreading.Thread(target=threading.Event().wait).start()",
    "switched-off": "raise RuntimeError('imported although it is off')",
}


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ExtensionState]:
    """Try all of them out together: none may spoil what is found out about another."""
    folder = tmp_path_factory.mktemp("verify")
    everything = {name: init for name, (init, _) in BROKEN.items()} | FINE
    for name, init in everything.items():
        source = write(folder / "sources" / name, flat(f"verify-{name}", init))
        wheel = folder / build.build_wheel(folder, root=source)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder / "generation")
    environ = {"TINYBASE_EXTENSIONS_IMPORT_TIMEOUT_SECONDS": "1"}
    others = {**dict.fromkeys(SIGNS_IN, "secret"), "SLACK_TOKEN": "its own"}
    verifier = Verifier(config.load(folder, environ), {**os.environ, **environ, **others})
    wishes = {"verify-switched-off": Wish(is_enabled=False)}
    return verifier.probe(folder / "generation", wishes, expected=len(everything))


@pytest.mark.parametrize("name", list(BROKEN))
def test_what_does_not_load_has_failed_with_its_reason(
    name: str, states: dict[str, ExtensionState]
) -> None:
    state = states[f"verify-{name}"]

    assert state.status == "failed"
    assert BROKEN[name][1] in (state.reason or "")


@pytest.mark.parametrize("name", [name for name in FINE if name != "switched-off"])
def test_what_loads_is_not_spoilt_by_the_others(
    name: str, states: dict[str, ExtensionState]
) -> None:
    assert states[f"verify-{name}"].status == "enabled"


def test_what_is_switched_off_is_not_imported(states: dict[str, ExtensionState]) -> None:
    assert states["verify-switched-off"].status == "disabled"


def test_what_an_extension_brings_is_told(states: dict[str, ExtensionState]) -> None:
    assert states["verify-fine"].hooks == ("tinybase_on_startup",)
    assert states["verify-earlier"].functions == ("earlier",)


@pytest.mark.parametrize(
    ("module", "layout", "told"),
    [
        ("numpy", "flat", 'add numpy = "*" under [extension.dependencies]'),
        ("yaml.nodes", "flat", 'add PyYAML = "*" under [extension.dependencies]'),
        ("numpy", "pyproject", 'add "numpy" to the dependencies of the package'),
        ("my_ext.hooks", "flat", "The repository lacks my_ext/hooks.py; add it"),
    ],
)
def test_a_missing_import_is_told_with_its_remedy(module: str, layout: str, told: str) -> None:
    assert told in remedy(f"ModuleNotFoundError: No module named '{module}'", "my_ext", layout)


def test_any_other_reason_stays_as_it_is() -> None:
    assert remedy("RuntimeError: boom.", "my_ext", "flat") == "RuntimeError: boom"
