"""Hooks with which an extension contributes parts to the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


@hookspec
def tinybase_register_functions() -> Sequence[FunctionDeclaration]:
    """Called while the extensions are loaded; returns the functions to offer.

    ``@register`` of ``tinybase.functions`` is the short form. An exception, a bad
    declaration, or a name that somebody else has taken makes the extension fail to load,
    as a whole.
    """
    raise NotImplementedError
