"""Bugs that are put into the host, to see that the matrix of faults finds them.

Each is the text of a module that Python runs at the start of every process: what is served is
the real command with one thing wrong.
"""

from __future__ import annotations

from collections.abc import Iterable

from .faults import Moment

_AFTER_IMPORT = '''
import builtins, importlib.abc, sys

class _Planting(importlib.abc.MetaPathFinder):
    """Puts the bug into a module as soon as that is imported."""

    def find_spec(self, name, path, target=None):
        if name != {module!r}:
            return None
        sys.meta_path.remove(self)
        import importlib.util
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module
        def exec_module(module):
            load(module)
            plant(module)
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, _Planting())
'''

_UNGUARDED = """
def plant(guard):
    def carry_out(self, function, event, call):
        return function(event)
    guard.Guard.carry_out = carry_out
    guard.Guard._call = lambda self, call: call._function(call._event)
"""

_SHARED_EVENT = """
def plant(guard):
    guard.own_event = lambda event: event
"""

_SHARED_SESSION = """
def plant(contexts):
    class Shared(contexts.Contexts):
        def __init__(self, new_session, *others, **more):
            session = new_session()
            session.close = session.commit = session.rollback = lambda: None
            super().__init__(lambda: session, *others, **more)
    contexts.Contexts = Shared
"""

_NO_DEADLINE = """
def plant(shares):
    wait = shares.Task.wait
    shares.Task.wait = lambda self, seconds: wait(self, 3600)
"""

_OPEN_DOOR = """
def plant(guided):
    call = guided.GuidedSight._call
    def swallowing(self, hook, make, *about):
        try:
            return call(self, hook, make, *about)
        except Exception:
            return None, [] if "filter" in hook.name else None
    guided.GuidedSight._call = swallowing
"""

_ANONYMOUS = """
def plant(identity):
    recognised = identity.recognised
    def swallowing(call):
        try:
            return recognised(call)
        except Exception:
            return None
    identity.recognised = swallowing
"""

_NAMELESS = """
def plant(contributed):
    contributed._render = lambda visit, error: contributed.render(error).as_response()
"""

_ONE_PAGE = """
def plant(collectors):
    collectors.render_contributed = lambda host: [
        collectors._tell(declaration.collector, frozenset())[1]
        for _, declaration in host.contributions.of(collectors.COLLECTORS)
    ]
"""

_PATIENT_CHECKS = """
def plant(health):
    health.WAIT_SECONDS = 3600
"""

_UNHEARD_CALLS = """
def plant(deadline):
    wait = deadline.Run.wait
    def answered(self, seconds):
        ending = wait(self, seconds)
        return deadline.Ending(ending.value)
    deadline.Run.wait = answered
"""

_UNNOTED = """
def plant(starting):
    starting.Starting.note = lambda self, snapshot: None
"""

_ENDLESS_IMPORT = """
def plant(loading):
    loading.run_bounded = lambda work, seconds, name: work() or True
"""


def _in(module: str, plant: str) -> str:
    return _AFTER_IMPORT.format(module=f"tinybase.{module}") + plant


PLANTS = {
    "an unguarded implementation": _in("host.guard", _UNGUARDED),
    "a shared event": _in("host.guard", _SHARED_EVENT),
    "a shared session": _in("functions.contexts", _SHARED_SESSION),
    "no deadline": _in("host.shares", _NO_DEADLINE),
}
"""Bugs of the guard, one at a time."""

ROOM_PLANTS = {
    ("can_access", "exception"): _in("collections.guided", _OPEN_DOOR),
    ("authenticate", "exception"): _in("api.identity", _ANONYMOUS),
    ("view", "exception"): _in("api.contributed", _NAMELESS),
    ("metric", "exception"): _in("api.collectors", _ONE_PAGE),
    ("health_check", "hang"): _in("host.health", _PATIENT_CHECKS),
    ("function", "exception"): _in("functions.deadline", _UNHEARD_CALLS),
}
"""Bugs of those who call extensions, and what each lets pass."""

MOMENT_PLANTS = {
    (Moment.IMPORT, "hang"): _in("host.loading", _ENDLESS_IMPORT),
    (Moment.STARTUP, "exception"): _in("host.starting", _UNNOTED),
}
"""Bugs of those who load and start extensions."""


def together(plants: Iterable[str]) -> str:
    """Return the text of one module that plants several bugs."""
    return "\n".join(f"exec({plant!r}, {{}})" for plant in plants)
