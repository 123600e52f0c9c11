"""Manifests that are no manifests, or say what cannot be."""

from __future__ import annotations

from .case import HELLO, Case, Content, flat, installed, manifest, refused, repository

_DEPENDENCIES = "[extension.dependencies]\n"
_HOST = "[extension.tinybase]\n"


def _file(name: str, wrong: str, told: str, content: Content) -> Case:
    return refused(name, wrong, told, repository({"extension.toml": content, "__init__.py": HELLO}))


def _named(row: str, wrong: str, told: str, name: str) -> Case:
    return _file(row, wrong, told, f'[extension]\nname = "{name}"\nversion = "1.0"\n')


MANIFESTS = (
    refused("no-manifest", "it is missing", "is missing", repository({"README.md": ""})),
    _file("empty", "it is empty", "Begin the manifest with [extension]", ""),
    _file("latin", "not UTF-8", "Save it as UTF-8", b'[extension]\nname = "\xe9"'),
    _file("utf-16", "UTF-16", "UTF-8", '[extension]\nname = "x"'.encode("utf-16")),
    _file("not-toml", "not TOML", "not valid TOML", "{name: x}"),
    _file("huge", "10 MB", "larger than 64 KiB", manifest("huge") + "#" * 10_000_000),
    _file("nul", "a NUL byte", "not valid TOML", manifest("nul", 'author = "a\0b"')),
    _file("doubled", "a key twice", "not valid TOML", manifest("doubled", 'version = "2"')),
    _file("nested", "nested deeply", "nested too deeply", "x = " + "[" * 30_000),
    _file("dotted", "a key of ten thousand parts", "far too many dots", "a." * 10_000 + "b = 1"),
    _file("digits", "a number of fifty thousand digits", "not valid TOML", "x = " + "9" * 50_000),
    refused("linked", "it is a folder", "not a plain file", repository({"extension.toml/x": ""})),
    refused(
        "no-init",
        "no __init__.py",
        "__init__.py: is missing",
        repository({"extension.toml": manifest("no-init")}),
    ),
    _file("no-name", "no name", "extension.name: is missing", '[extension]\nversion = "1"'),
    _named("line-break", "a line break in the name", "extension.name", "x\\nRequires-Dist: evil"),
    _named("look-alike", "a Cyrillic letter in the name", "extension.name", "my-extensiоn"),
    _named("dash", "a name with a leading dash", "extension.name", "-x"),
    _named("up", "a name that leads up", "extension.name", "../x"),
    _named("absolute", "a name that is a path", "extension.name", "/etc/x"),
    _named("long", "a name of 300 letters", "extension.name", "x" * 300),
    _named("host", "the name of TinyBase", "reserved", "tinybase"),
    _named("contract", "the name of the contract", "reserved", "TinyBase_HookSpecs"),
    _named("stdlib", "the name of a module of Python", "reserved", "json"),
    _named("keyword", "the name of a keyword", "keyword class", "class"),
    _named("digit", "a name Python cannot import", "cannot import", "3d"),
    _named("customize", "a name that Python imports by itself", "reserved", "sitecustomize"),
    _named("flask-again", "the name of a package of the host", "already installed", "flask"),
    _named("yaml-again", "an import name of the host", "pyyaml already provides it", "yaml"),
    installed(
        "capital-letters",
        "a name in upper case, which is the same name",
        repository({"extension.toml": manifest("Capital_Letters"), "__init__.py": HELLO}),
    ),
    _file(
        "types",
        "wrong types everywhere",
        "extension.keywords: is a list of words",
        "[extension]\nname = 1\nversion = 1.0\ndescription = []\nauthor = {}\nlicense = true\n"
        'keywords = "a"\npython = 3\ntinybase = "1"\ndependencies = 1979-05-27\n',
    ),
    _file(
        "version",
        "a version nobody knows",
        "extension.version: is no version",
        manifest("version").replace("1.0.0", "latest"),
    ),
    _file(
        "local-version",
        "a local version",
        "local part",
        manifest("local-version").replace("1.0.0", "1.0+me"),
    ),
    refused("unknown", "an unknown key", "Did you mean dependencies", flat("dependancies = []")),
    refused(
        "header", "a header in the description", "is one line", flat('description = "a\\nX: y"')
    ),
    refused(
        "script", "a script as its homepage", "begins with https", flat('homepage = "javascript:a"')
    ),
    refused("newer", "a newer TinyBase", "Upgrade TinyBase", flat(_HOST + 'min_version = "99"')),
    refused(
        "garbage", "garbage for a TinyBase", "is no version", flat(_HOST + 'min_version = "x"')
    ),
    refused("python", "another Python", "needs Python", flat('python = ">=99"')),
    refused(
        "url",
        "a dependency at an address",
        "Publish it as a package",
        flat('dependencies = ["x @ https://evil.example/x.whl"]'),
    ),
    refused(
        "vcs",
        "a dependency in a repository",
        "Publish it as a package",
        flat(_DEPENDENCIES + 'x = { git = "https://evil.example/x" }'),
    ),
    refused(
        "option",
        "an option of pip in a version",
        "no version range",
        flat(_DEPENDENCIES + 'x = "--index-url https://evil.example"'),
    ),
    refused(
        "options",
        "an option of pip as a dependency",
        "no dependency that pip knows",
        flat('dependencies = ["--index-url=https://evil.example"]'),
    ),
    refused(
        "file",
        "a file of dependencies",
        "no dependency that pip knows",
        flat(_DEPENDENCIES + '"-r /etc/passwd" = "*"'),
    ),
    refused(
        "editable",
        "an editable dependency",
        "no dependency that pip knows",
        flat('dependencies = ["-e ."]'),
    ),
    refused(
        "marker",
        "a marker with a line break",
        "no dependency that pip knows",
        flat(_DEPENDENCIES + r'x = { markers = "python_version > \"3\"\n--pre" }'),
    ),
    refused(
        "itself",
        "itself as a dependency",
        "the extension itself",
        flat(_DEPENDENCIES + 'itself = "*"'),
    ),
)
