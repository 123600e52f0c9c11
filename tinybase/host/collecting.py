"""Taking what one extension contributes into a snapshot, without waiting for it for ever."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from tinybase.errors import TinyBaseError, one_line
from tinybase.extensions.signatures import HandlerError
from tinybase.host import settings
from tinybase.host.bounded import run_bounded
from tinybase.host.contributions import DECLARATIONS
from tinybase.host.loading import ImportOverdue, new_plugin_manager
from tinybase.host.plugin import LoadError, register
from tinybase.host.preparing import COLLECTIONS
from tinybase.host.snapshot import Loaded, Snapshot
from tinybase.host.stats import safe_text
from tinybase.manifest_collections import FILE_NAME

_FUNCTIONS: Final = "tinybase_register_functions"


def collect(loaded: Loaded, snapshot: Snapshot, timeout: float) -> None:
    """Take in everything that an extension contributes, or nothing.

    :param timeout: seconds that its implementations may take together.
    :raises LoadError: for whatever goes wrong; it names the hook.
    :raises ImportOverdue: when they take longer; their thread goes on.
    """
    answers = _Answers(loaded)
    if not run_bounded(answers.collect, timeout, f"collect-{loaded.name}"):
        raise ImportOverdue(
            f"{answers.hook} took longer than {timeout:g} s. "
            "It must not wait for anything; use @on_startup."
        )
    owner = loaded.plugin.name if loaded.candidate else loaded.name
    try:
        if answers.error is not None:
            raise _failure(answers.hook, answers.error) from answers.error
        _take_in_manifest(owner, loaded, answers.found[COLLECTIONS], snapshot)
        for hook, found in answers.found.items():
            _take_in(owner, hook, found, snapshot)
    except LoadError:
        snapshot.functions.discard(owner)
        snapshot.contributions.discard(owner)
        raise


class _Answers:
    """What the implementations of one extension return, hook by hook.

    :ivar hook: the one that is being asked, or that was asked last.
    """

    def __init__(self, loaded: Loaded) -> None:
        self.hook = ""
        self.error: BaseException | None = None
        self.found: dict[str, list[Any]] = {}
        self._manager = new_plugin_manager()
        register(self._manager, loaded.plugin.implementations)

    def collect(self) -> None:
        """Ask all of them, or until one fails."""
        try:
            for self.hook in (_FUNCTIONS, *DECLARATIONS):
                self.found[self.hook] = [
                    # A generator is its author's code, too.
                    list(answer) if _is_many(answer) else answer
                    for answer in getattr(self._manager.hook, self.hook)()
                ]
        except BaseException as error:  # noqa: BLE001 - raised again for the one who asked
            self.error = error


def _take_in_manifest(
    owner: str, loaded: Loaded, in_code: Sequence[Any], snapshot: Snapshot
) -> None:
    """Take in the collections of the manifest, none of which the code may declare again."""
    declared = loaded.candidate.collections if loaded.candidate else ()
    _take_in(owner, COLLECTIONS, [declared], snapshot)
    known = {item.name for item in declared}
    for item in (item for answer in in_code if _is_many(answer) for item in answer):
        name = getattr(item, "name", None)
        if isinstance(name, str) and name in known:
            raise LoadError(
                f"{COLLECTIONS}: the collection {name!r} is declared in {FILE_NAME} already. "
                "Delete the declaration in the code, such as the call of register_collection."
            )


def _take_in(owner: str, hook: str, found: list[Any], snapshot: Snapshot) -> None:
    try:
        for declarations in found:
            if hook != _FUNCTIONS:
                snapshot.contributions.add(owner, hook, declarations)
                continue
            for declaration in declarations:
                snapshot.functions.add(owner, declaration)
        if hook == settings.HOOK:
            declared = snapshot.contributions.by(owner, hook)
            snapshot.settings[owner] = tuple(settings.SettingFacts.of(item) for item in declared)
    except (HandlerError, TinyBaseError) as error:
        raise _failure(hook, error) from None
    except BaseException as error:
        raise _failure(hook, error) from error


def _is_many(answer: object) -> bool:
    return isinstance(answer, Iterable) and not isinstance(answer, str | bytes)


def _failure(hook: str, error: BaseException) -> LoadError:
    """Return what went wrong; what we refuse says so itself, other faults have a type."""
    if isinstance(error, TinyBaseError):
        told = error.detail
    elif isinstance(error, LoadError | HandlerError):
        told = safe_text(error)
    else:
        told = f"{type(error).__name__}: {one_line(safe_text(error))}"
    return LoadError(told if hook == _FUNCTIONS else f"{hook}: {told}")
