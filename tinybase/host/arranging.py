"""Putting the implementations of every hook in order.

What is said about two extensions comes first: by the operator in ``tinybase.toml``, else by
a handler in its decorator, else by an extension in its manifest. What is left open is decided
by ``tryfirst`` and ``trylast``, then by priority, then by the name of the extension, then by
the order in which handlers are written. Nobody is moved forward: who has to wait, waits.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from packaging.utils import canonicalize_name

from tinybase.config import FILE_NAME
from tinybase.extensions.rows import Order
from tinybase.host.ordering import Arrangement, Circle, Rules, Statement, Turn
from tinybase.host.plugin import ExtensionPlugin, Implementation

START_UP: Final = "tinybase_on_startup"
SHUTDOWN: Final = "tinybase_on_shutdown"

_Broken = tuple[Statement, tuple[Statement, ...]]


def arrange(plugins: Sequence[ExtensionPlugin], rules: Rules) -> Arrangement:
    """Return in which order everything that some plugins implement is called.

    :param plugins: those of the operator's own code first, then the others by name.
    """
    found: dict[str, list[Implementation]] = {}
    for item in (item for plugin in plugins for item in plugin.implementations):
        found.setdefault(item.hook, []).append(item)
    # An extension without on_startup has its place in the order of starting too.
    starters = {item: plugin for plugin in plugins for item in _starters(plugin)}
    found[START_UP] = list(starters)
    queues = {hook: _Queue(items, rules) for hook, items in found.items() if hook != SHUTDOWN}
    start_up = tuple(dict.fromkeys(starters[item] for item in queues[START_UP].order))
    queues[SHUTDOWN] = _ShutdownQueue(found.get(SHUTDOWN, []), rules, start_up)
    return Arrangement(
        {hook: [item for item in queue.order if item.function] for hook, queue in queues.items()},
        [turn for hook in sorted(queues) for turn in queues[hook].turns()],
        _merged({hook: queues[hook].circles for hook in sorted(queues)}),
        start_up,
    )


@dataclass(frozen=True)
class _Wish:
    """That an implementation wants to be called before or after an extension."""

    other: str
    is_before: bool
    source: str


class _Queue:
    """The implementations of one hook, in order."""

    def __init__(self, items: Sequence[Implementation], rules: Rules) -> None:
        self._rules = rules
        self._listed = [canonicalize_name(name) for name in rules.operator]
        self._written = {item: number for number, item in enumerate(items)}
        self._items = sorted(items, key=self._key)
        self._of: dict[str, list[Implementation]] = {}
        for item in self._items:
            self._of.setdefault(item.extension, []).append(item)
        self._edges: dict[Implementation, dict[Implementation, Statement]] = {}
        self.circles: list[_Broken] = []
        self._take_statements()
        self.order = self._sorted()

    def turns(self) -> Iterator[Turn]:
        """Yield the turns of all handlers."""
        number = itertools.count(1)
        for place, item in enumerate(self.order):
            if item.stats is None:
                continue
            wishes = self._wishes(item)
            yield Turn(
                item.stats,
                next(number),
                item.order.priority,
                tuple(wish.other for wish in wishes if wish.is_before),
                tuple(wish.other for wish in wishes if not wish.is_before),
                "; ".join([self._why(place), *self._unheard(item, wishes)]),
            )

    # --- what is said ----------------------------------------------------------------

    def _take_statements(self) -> None:
        """Follow what is said, the strongest first, as far as it makes no circle."""
        listed = [name for name in dict.fromkeys(self._listed) if name in self._of]
        for first, then in itertools.combinations(listed, 2):
            for one, other in itertools.product(self._of[first], self._of[then]):
                # One list cannot contradict itself, so there is no way back to look for.
                if one.is_wrapper == other.is_wrapper:
                    self._edges.setdefault(one, {})[other] = Statement(first, then, FILE_NAME)
        wished = [(item, wish) for item in self._items for wish in self._wishes(item)]
        for item, wish in sorted(wished, key=lambda pair: pair[1].source == _MANIFEST):
            if not self._is_overridden(item, wish):
                self._take_wish(item, wish)

    def _take_wish(self, item: Implementation, wish: _Wish) -> None:
        source = f"{wish.source} of {item.extension}"
        for other in self._of.get(wish.other, ()):
            if _rank(item) != _rank(other):
                continue
            first, then = (item, other) if wish.is_before else (other, item)
            self._take(Statement(first.extension, then.extension, source), first, then)

    def _take(self, statement: Statement, first: Implementation, then: Implementation) -> None:
        if first.is_wrapper != then.is_wrapper:
            return
        way_back = self._way(then, first)
        if way_back:
            self.circles.append((statement, way_back))
        else:
            self._edges.setdefault(first, {}).setdefault(then, statement)

    def _way(self, start: Implementation, end: Implementation) -> tuple[Statement, ...]:
        """Return the statements that put one implementation before another, if any do."""
        ways: dict[Implementation, tuple[Statement, ...]] = {start: ()}
        waiting = [start]
        while waiting:
            item = waiting.pop(0)
            if item is end:
                return ways[item]
            for following, statement in self._edges.get(item, {}).items():
                if following not in ways:
                    ways[following] = (*ways[item], statement)
                    waiting.append(following)
        return ()

    def _wishes(self, item: Implementation) -> list[_Wish]:
        """Return what an implementation wants; it may overrule its manifest."""
        own = _wishes_in(item.order, _DECORATOR)
        named = {wish.other for wish in own}
        manifest = self._rules.manifests.get(item.extension, Order())
        both = [*own, *(w for w in _wishes_in(manifest, _MANIFEST) if w.other not in named)]
        return [wish for wish in both if wish.other != item.extension]

    def _is_overridden(self, item: Implementation, wish: _Wish) -> bool:
        return item.extension in self._listed and wish.other in self._listed

    # --- the order -------------------------------------------------------------------

    def _key(self, item: Implementation) -> tuple[int, ...]:
        """Return what decides where nothing is said; ``_written`` is by name."""
        return (not item.is_wrapper, _rank(item), -item.order.priority, self._written[item])

    def _sorted(self) -> list[Implementation]:
        """Return everything as the keys have it, only that who has to wait, waits."""
        place = {item: number for number, item in enumerate(self._items)}
        missing = dict.fromkeys(self._items, 0)
        for following in (then for edges in self._edges.values() for then in edges):
            missing[following] += 1
        ready = [place[item] for item in self._items if not missing[item]]
        order = []
        while ready:
            item = self._items[heapq.heappop(ready)]
            order.append(item)
            for following in self._edges.get(item, ()):
                missing[following] -= 1
                if not missing[following]:
                    heapq.heappush(ready, place[following])
        return order

    # --- why -------------------------------------------------------------------------

    def _why(self, place: int) -> str:
        """Say which rule decided between an implementation and the one in front of it.

        Either that one is put before it in so many words, or its key is lower: would anything
        else have kept this one waiting, it would have been first. The first is compared with
        the second.
        """
        if sum(item.function is not None for item in self.order) == 1:
            return "only one"
        front, behind = self.order[max(place, 1) - 1], self.order[max(place, 1)]
        statement = self._edges.get(front, {}).get(behind)
        if statement is None:
            return self._rule(front, behind)
        if place:
            return f"after {front.extension} ({statement.source})"
        return f"before {behind.extension} ({statement.source})"

    def _rule(self, front: Implementation, behind: Implementation) -> str:
        if front.is_wrapper != behind.is_wrapper:
            return "wrappers first"
        if _rank(front) != _rank(behind):
            return "tryfirst" if front.order.tryfirst else "trylast"
        if front.order.priority != behind.order.priority:
            return f"priority {front.order.priority} over {behind.order.priority}"
        if front.extension == behind.extension:
            return "as written"
        return "own code first" if front.extension == self._rules.owner else "by name"

    def _unheard(self, item: Implementation, wishes: Sequence[_Wish]) -> Iterator[str]:
        """Say which wishes of an implementation are not fulfilled, and what stands against it."""
        place = {one: number for number, one in enumerate(self.order)}
        for wish in wishes:
            others = self._of.get(wish.other, ())
            if all((place[item] < place[other]) == wish.is_before for other in others):
                continue
            told = f"{'before' if wish.is_before else 'after'} {wish.other}"
            yield f"not {told}: {self._against(item, wish)}"

    def _against(self, item: Implementation, wish: _Wish) -> str:
        if self._is_overridden(item, wish):
            return FILE_NAME
        others = self._of[wish.other]
        if any(other.is_wrapper != item.is_wrapper for other in others):
            return "wrappers go around"
        if any(_rank(other) != _rank(item) for other in others):
            return "tryfirst and trylast"
        return "a circle"


class _ShutdownQueue(_Queue):
    """What ends last started first, whatever is said; one extension ends as it is written."""

    def __init__(
        self, items: Sequence[Implementation], rules: Rules, start_up: Sequence[ExtensionPlugin]
    ) -> None:
        self._ends = {
            item: -number
            for number, plugin in enumerate(start_up)
            for item in plugin.implementations
        }
        super().__init__(items, rules)

    def _key(self, item: Implementation) -> tuple[int, ...]:
        return (self._ends[item], *super()._key(item))

    def _take_statements(self) -> None:
        """Take none."""

    def _rule(self, front: Implementation, behind: Implementation) -> str:
        if self._ends[front] != self._ends[behind]:
            return "started last"
        return super()._rule(front, behind)

    def _unheard(self, item: Implementation, wishes: Sequence[_Wish]) -> Iterator[str]:  # noqa: ARG002
        """Yield nothing: what wants to start before others ends after them."""
        yield from ()


_DECORATOR: Final = "decorator"
_MANIFEST: Final = "extension.toml"


def _wishes_in(order: Order, source: str) -> list[_Wish]:
    return [
        _Wish(canonicalize_name(name), is_before, source)
        for names, is_before in ((order.before, True), (order.after, False))
        for name in names
    ]


def _rank(item: Implementation) -> int:
    return int(item.order.trylast) - int(item.order.tryfirst)


def _starters(plugin: ExtensionPlugin) -> list[Implementation]:
    """Return what a plugin does when it starts; nothing is something too."""
    found = [item for item in plugin.implementations if item.hook == START_UP]
    return found or [Implementation(plugin.name, START_UP)]


def _merged(broken: Mapping[str, Sequence[_Broken]]) -> list[Circle]:
    """Return each circle once, with all the hooks at which it is found."""
    hooks: dict[_Broken, list[str]] = {}
    for hook, circles in broken.items():
        for circle in dict.fromkeys(circles):
            hooks.setdefault(circle, []).append(hook)
    return [Circle(dropped, kept, tuple(where)) for (dropped, kept), where in hooks.items()]
