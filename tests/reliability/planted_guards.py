"""Bugs that are put into the host, to see that the matrix of faults finds them.

Each is the text of a module that Python runs at the start of every process: what is served is
the real command with one thing wrong.
"""

from __future__ import annotations

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

PLANTS = {
    "an unguarded implementation": _AFTER_IMPORT.format(module="tinybase.host.guard") + _UNGUARDED,
    "a shared event": _AFTER_IMPORT.format(module="tinybase.host.guard") + _SHARED_EVENT,
    "a shared session": _AFTER_IMPORT.format(module="tinybase.functions.contexts")
    + _SHARED_SESSION,
    "no deadline": _AFTER_IMPORT.format(module="tinybase.host.shares") + _NO_DEADLINE,
}
