"""What child processes may see of the operator's environment, and what the host provides.

Nothing reaches a child by accident: each list names what is let through. Secrets of the
operator, such as keys in variables, never get to git, pip or foreign build code.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from functools import cached_property
from importlib.metadata import Distribution, PackagePath, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tinybase.packages.closure import applies

GIT_TOKEN = "TINYBASE_GIT_TOKEN"  # noqa: S105 - the name of the variable

_COMMON = frozenset(
    [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "LANG",
        "LANGUAGE",
        "TZ",
        "TMPDIR",
        "TEMP",
        "TMP",
        "XDG_CONFIG_HOME",
        "XDG_CACHE_HOME",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "SOURCE_DATE_EPOCH",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
    ]
)
_GIT = frozenset(
    [
        "SSH_AUTH_SOCK",
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GIT_SSL_CAINFO",
        "GIT_SSL_CAPATH",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_SYSTEM",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_CONFIG_COUNT",
    ]
)
_GIT_PREFIXES = ("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_")
_PIP = frozenset(
    f"PIP_{name}"
    for name in [
        "INDEX_URL",
        "EXTRA_INDEX_URL",
        "NO_INDEX",
        "FIND_LINKS",
        "TRUSTED_HOST",
        "CERT",
        "CLIENT_CERT",
        "PROXY",
        "TIMEOUT",
        "DEFAULT_TIMEOUT",
        "RETRIES",
        "CACHE_DIR",
        "NO_CACHE_DIR",
        "CONFIG_FILE",
        "CONSTRAINT",
        "BUILD_CONSTRAINT",
        "KEYRING_PROVIDER",
        "NO_BINARY",
        "ONLY_BINARY",
        "PREFER_BINARY",
        "UPLOADED_PRIOR_TO",
    ]
)
_BUILDING = frozenset(
    ["CC", "CXX", "CFLAGS", "CPPFLAGS", "CXXFLAGS", "LDFLAGS", "AR", "PKG_CONFIG_PATH"]
)


def for_git(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what git gets: how to reach and to sign in, never where its files are."""
    return _let_through(environ, _COMMON | _GIT, ("LC_", *_GIT_PREFIXES))


def for_pip(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what pip gets: where the index is, nothing that says what or where to install."""
    # So that what is built twice is the same twice, as far as the backend can.
    defaults = {"SOURCE_DATE_EPOCH": "315532800"}
    return (
        defaults
        | _let_through(environ, _COMMON | _PIP | _BUILDING, ("LC_",))
        | {
            # A configuration file may say otherwise; this is stronger.
            "PIP_USER": "0",
            "PIP_REQUIRE_VIRTUALENV": "0",
            "PIP_NO_INPUT": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
    )


def for_pip_alone(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what pip gets when it must not ask anybody: no index, no configuration."""
    return _let_through(environ, _COMMON, ("LC_",)) | {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def for_extensions(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what an extension gets that is tried out: what it gets in the server.

    It is configured there, and may read any variable while it is imported; only what git
    and pip sign in with is not for it.
    """
    without = _GIT | _PIP | {GIT_TOKEN}
    return {
        name: value
        for name, value in environ.items()
        if name not in without and not name.startswith(_GIT_PREFIXES)
    }


def _let_through(
    environ: Mapping[str, str], names: frozenset[str], prefixes: tuple[str, ...]
) -> dict[str, str]:
    return {
        name: value for name, value in environ.items() if name in names or name.startswith(prefixes)
    }


class HostPackages:
    """The packages of the environment that TinyBase runs in: fixed, for every extension.

    :param instance: what its extensions brought does not count, even where this process
        can import it.
    """

    def __init__(self, instance: Path) -> None:
        own = (instance / "extensions").resolve()
        path = [entry for entry in sys.path if not Path(entry).resolve().is_relative_to(own)]
        self._found: dict[str, Distribution] = {}
        for distribution in distributions(path=path):
            if name := _name_of(distribution):
                self._found.setdefault(canonicalize_name(name), distribution)

    def __contains__(self, name: str) -> bool:
        return canonicalize_name(name) in self._found

    def version(self, name: str) -> str | None:
        """Return the version of a package, or ``None`` if the host lacks it."""
        found = self._found.get(canonicalize_name(name))
        return found.version if found else None

    def constraints(self) -> dict[str, str]:
        """Return every package with its version."""
        return {
            name: found.version for name, found in self._found.items() if _is_version(found.version)
        }

    def brought_by(self, root: str) -> set[str]:
        """Return a package and everything that it needs, directly or not."""
        seen: set[tuple[str, frozenset[str]]] = set()
        ahead = [(canonicalize_name(root), frozenset[str]())]
        while ahead:
            name, extras = ahead.pop()
            if name not in self._found or (name, extras) in seen:
                continue
            seen.add((name, extras))
            ahead += [
                (canonicalize_name(requirement.name), frozenset(requirement.extras))
                for requirement in map(Requirement, self._found[name].requires or ())
                if applies(requirement, extras)
            ]
        return {name for name, _ in seen}

    def owner_of(self, package: str) -> str | None:
        """Return which package of the host provides an import name."""
        return self._owners.get(package)

    @cached_property
    def _owners(self) -> dict[str, str]:
        owners: dict[str, str] = {}
        for name, found in self._found.items():
            for file in _files_of(found):
                first = file.parts[0]
                if len(file.parts) > 1 or first.endswith((".py", ".so", ".pyd")):
                    owners.setdefault(first.partition(".")[0], name)
        return owners


def _name_of(distribution: Distribution) -> str | None:
    """Return the name of a package; what is left of one, or torn, has none."""
    try:
        return distribution.metadata["Name"]
    except Exception:  # noqa: BLE001 - reading broken metadata may raise anything
        return None


def _files_of(distribution: Distribution) -> Iterable[PackagePath]:
    try:
        return distribution.files or ()
    except Exception:  # noqa: BLE001 - as above
        return ()


def _is_version(text: str | None) -> bool:
    try:
        Version(text or "")
    except InvalidVersion:
        return False
    return True
