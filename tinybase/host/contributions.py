"""What extensions contribute to a snapshot besides handlers and functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from tinybase.extensions.signatures import HandlerError
from tinybase_hookspecs import (
    BlueprintDeclaration,
    CollectionDeclaration,
    CommandDeclaration,
    HealthCheckDeclaration,
    MetricDeclaration,
    SettingDeclaration,
)

DECLARATIONS: Final[Mapping[str, type]] = {
    "tinybase_register_settings": SettingDeclaration,
    "tinybase_register_collections": CollectionDeclaration,
    "tinybase_register_blueprints": BlueprintDeclaration,
    "tinybase_register_commands": CommandDeclaration,
    "tinybase_register_health_checks": HealthCheckDeclaration,
    "tinybase_register_metrics": MetricDeclaration,
}
"""What each of the hooks returns a list of."""

Contribution = tuple[str, Any]
"""The owner, as functions have one, and the declaration."""

Check = Callable[[str, Any, Sequence[Contribution]], Sequence[str] | None]
"""Refuses an owner's declaration, in view of those taken in before, with a ``HandlerError`` or
``TinyBaseError`` that says what is wrong and the remedy; returns how lists show it, if they do."""


class Contributions:
    """The contributions of one snapshot, by hook.

    :param checks: for each hook, what the room that uses the declarations demands of them.
    """

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._taken: dict[str, list[Contribution]] = {hook: [] for hook in DECLARATIONS}
        self._shown: dict[tuple[str, str], list[str]] = {}

    def add(self, owner: str, hook: str, declarations: object) -> None:
        """Take in what an owner's implementation of a hook returned.

        :raises HandlerError: for something that is no list of the hook's declarations, or
            that the hook's check refuses.
        """
        expected = DECLARATIONS[hook]
        if not isinstance(declarations, Iterable) or isinstance(declarations, str | bytes):
            raise HandlerError(
                f"it returned {_kind(declarations)} and not a list. "
                f"Return a list of {expected.__name__} objects."
            )
        check = self._checks.get(hook)
        for declaration in declarations:
            if not isinstance(declaration, expected):
                raise HandlerError(
                    f"it returned a list with {_kind(declaration)} in it. "
                    f"Return a list of {expected.__name__} objects."
                )
            if check is not None:
                shown = check(owner, declaration, self._taken[hook])
                self._shown.setdefault((owner, hook), []).extend(shown or ())
            self._taken[hook].append((owner, declaration))

    def discard(self, owner: str) -> None:
        """Forget what an owner contributed, because its loading failed after all."""
        for hook, taken in self._taken.items():
            self._taken[hook] = [item for item in taken if item[0] != owner]
            self._shown.pop((owner, hook), None)

    def of(self, hook: str) -> list[Contribution]:
        """Return who contributed what through a hook, in the order of loading."""
        return list(self._taken[hook])

    def by(self, owner: str, hook: str) -> list[Any]:
        """Return what one owner contributed through a hook."""
        return [declaration for who, declaration in self._taken[hook] if who == owner]

    def shown(self, owner: str, hook: str) -> list[str]:
        """Return how lists show what one owner contributed through a hook."""
        return list(self._shown.get((owner, hook), ()))


def _kind(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"
