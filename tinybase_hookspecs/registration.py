"""Hooks with which an extension contributes parts to the host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinybase_hookspecs.markers import hookspec


@dataclass(frozen=True)
class FunctionDeclaration:
    """A server function that clients may call by name.

    ``auth`` is ``"public"``, ``"auth"`` or ``"admin"``. The models are pydantic models,
    marshmallow schemas or dataclasses, or ``None``.
    """

    name: str
    handler: Callable[..., Any]
    description: str = ""
    auth: str = "auth"
    input_model: Any = None
    output_model: Any = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class BlueprintDeclaration:
    """Routes, as a Flask blueprint; they are mounted under ``/api/ext/NAME``.

    ``auth`` is ``"public"``, ``"auth"`` or ``"admin"``: whom they admit, unless a view says
    otherwise. ``body_bytes`` is how much a request may send, by default ``limits.body_bytes``.
    """

    blueprint: Any
    auth: str = "auth"
    body_bytes: int | None = None


@dataclass(frozen=True)
class CommandDeclaration:
    """A click command or group, run by ``tinybase x NAME COMMAND``."""

    command: Any


@dataclass(frozen=True)
class CollectionDeclaration:
    """A collection that belongs to the extension.

    ``schema`` and ``options`` are what ``POST /api/collections`` takes. The records of a
    ``guarded`` one are for admins alone while the extension does not run; everybody else is
    answered 503 then.
    """

    name: str
    schema: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    guarded: bool = False


@dataclass(frozen=True)
class SettingDeclaration:
    """A setting of the extension.

    ``type`` is ``str``, ``int``, ``float``, ``bool`` or ``list`` (of texts). A value comes from
    the admin API, the variable ``env`` of the environment, ``tinybase.toml``
    (``[extension.NAME]``), else ``default``. Without a value, a ``required`` one keeps the
    extension from running. A ``secret`` one is never shown. ``min`` and ``max`` bound numbers.
    """

    name: str
    type: type = str
    default: Any = None
    required: bool = False
    secret: bool = False
    env: str | None = None
    choices: tuple[Any, ...] = ()
    description: str = ""
    min: float | None = None
    max: float | None = None

    @property
    def value(self) -> Any:
        """Return the value that holds now; the host keeps it up to date.

        :raises LookupError: before the extension has been loaded.
        """
        if "_value" in vars(self):
            return vars(self)["_value"]
        raise LookupError(
            f"The setting {self.name} has no value while the module is imported, or outside of "
            "TinyBase. Read it inside a function that runs later."
        )

    def tell(self, value: Any) -> None:
        """Keep the value that holds now; for the host alone."""
        object.__setattr__(self, "_value", value)


@dataclass(frozen=True)
class HealthCheckDeclaration:
    """A check of something the extension needs.

    ``check`` returns when all is well and raises when it is not.
    """

    name: str
    check: Callable[[], object]


@dataclass(frozen=True)
class MetricDeclaration:
    """Numbers for ``/metrics``; ``collector`` is one of ``prometheus_client``."""

    collector: Any


@hookspec
def tinybase_register_functions() -> Sequence[FunctionDeclaration]:
    """Called while the extensions are loaded; returns the functions to offer.

    ``@register`` of ``tinybase.functions`` is the short form. An exception, a bad
    declaration, or a name that somebody else has taken makes the extension fail to load,
    as a whole.
    """
    raise NotImplementedError


@hookspec
def tinybase_register_blueprints() -> Sequence[BlueprintDeclaration]:
    """Called while the extensions are loaded; returns the routes to mount.

    ``register_blueprint`` of ``tinybase.extensions`` is the short form. The routes are there
    as long as the extension is enabled. A blueprint that cannot be mounted, or that would
    reach beyond its own routes, makes the extension fail to load, as a whole.
    """
    raise NotImplementedError


@hookspec
def tinybase_register_commands() -> Sequence[CommandDeclaration]:
    """Called while the extensions are loaded; returns the commands to offer.

    ``@command`` is the short form.
    """
    raise NotImplementedError


@hookspec
def tinybase_register_collections() -> Sequence[CollectionDeclaration]:
    """Called while the extensions are loaded; returns the collections of the extension.

    They are created, or extended to the declared schema, before its ``on_startup``.
    ``register_collection`` is the short form, and ``[[extension.collections]]`` in the manifest
    says the same without code. A name that belongs to somebody else, or a schema
    that records are in the way of, makes the extension fail to load, and nothing is changed.
    """
    raise NotImplementedError


@hookspec
def tinybase_register_settings() -> Sequence[SettingDeclaration]:
    """Called while the extensions are loaded; returns the settings of the extension.

    ``@register_settings`` is the short form. Return the same objects each time: their
    ``value`` is what holds now.
    """
    raise NotImplementedError


@hookspec
def tinybase_register_health_checks() -> Sequence[HealthCheckDeclaration]:
    """Called while the extensions are loaded; returns the checks to run with the host's.

    ``@health_check`` of ``tinybase.extensions`` is the short form. A check that raises, or
    takes more than two seconds, shows the extension as degraded; the server stays ready.
    """
    raise NotImplementedError


@hookspec
def tinybase_register_metrics() -> Sequence[MetricDeclaration]:
    """Called while the extensions are loaded; returns what ``/metrics`` shows of it."""
    raise NotImplementedError
