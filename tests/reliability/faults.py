"""What handlers can do wrong, where, and the extension that does it when it is asked to.

A request says in its ``X-Request-Id`` which fault a handler of which event is to commit, as
``SITE.FAULT.NUMBER``. Everybody else's handlers do nothing but write down that they ran.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What comes of a fault where it is committed."""

    NOTHING = "the handler ends as it should, and has harmed nobody"
    FAILURE = "the handler fails"
    DELAY = "the handler is late"
    ENDLESS = "the handler causes itself without end"
    DEATH = "the process ends"


FAULTS: dict[str, tuple[Outcome, str]] = {
    "exception": (Outcome.FAILURE, 'raise ValueError("boom")'),
    "unprintable": (Outcome.FAILURE, "raise Unprintable"),
    "base-exception": (Outcome.FAILURE, 'raise Base("boom")'),
    "system-exit": (Outcome.FAILURE, "raise SystemExit(3)"),
    "keyboard-interrupt": (Outcome.FAILURE, "raise KeyboardInterrupt"),
    "generator-exit": (Outcome.FAILURE, "raise GeneratorExit"),
    "stop-iteration": (Outcome.FAILURE, "raise StopIteration(1)"),
    "recursion": (Outcome.FAILURE, "endless()"),
    "c-recursion": (Outcome.FAILURE, "json.dumps(deep())"),
    "memory": (Outcome.FAILURE, "hoard()"),
    "rejection-of-the-database": (Outcome.FAILURE, 'ctx.db.execute(text("SELECT nothing"))'),
    "half-written": (Outcome.FAILURE, "write(ctx); raise ValueError"),
    "hang": (Outcome.DELAY, "time.sleep(2.5)"),
    "busy-loop": (Outcome.DELAY, "spin(site)"),
    "mutation": (Outcome.NOTHING, "spoil(event)"),
    "re-entrancy": (Outcome.ENDLESS, "create(ctx)"),
    "open-transaction": (Outcome.NOTHING, "leave_open()"),
    "written": (Outcome.NOTHING, "write(ctx)"),
    "rollback": (Outcome.NOTHING, "ctx.db.rollback()"),
    "pragma": (Outcome.NOTHING, 'ctx.db.execute(text("PRAGMA query_only = 0"))'),
    "closed-output": (Outcome.NOTHING, "sys.stdout.close()"),
    "log-flood": (Outcome.NOTHING, "flood()"),
    "threads": (Outcome.NOTHING, "leak_threads()"),
    "descriptors": (Outcome.NOTHING, "leak_descriptors()"),
    "coroutine": (Outcome.NOTHING, "return later()"),
    "exit": (Outcome.DEATH, "os._exit(1)"),
    "segmentation-fault": (Outcome.DEATH, "ctypes.string_at(0)"),
    "out-of-memory": (Outcome.DEATH, "os.kill(os.getpid(), 9)"),
    "termination": (Outcome.DEATH, "os.kill(os.getpid(), 15)"),
}
"""Each fault: what comes of it, and the code."""

RETURNED = {
    "generator": "return (n for n in range(3))",
    "huge": 'return "x" * 100_000_000',
}
"""What is returned where nobody asked for it, which is a failure only where it is asked for."""


class Kind(StrEnum):
    """What the request has to do with its handlers."""

    TOLD = "the request goes on, whatever they do"
    ASKED = "it is refused unless they answer"
    HEARD = "it waits for them, and goes on without an answer"


@dataclass(frozen=True)
class Site:
    """One event.

    :param request: which request brings it about, see ``test_fault_matrix``.
    :param answers: whether what an implementation returns is used.
    :param creates: whether it is about the creation of a record, which a handler that
        creates one causes again, in the transaction that is open.
    :param sampled: whether a part of the faults is enough for the ordinary run, since the
        code is the same as that of another event.
    """

    kind: Kind
    request: str
    answers: bool = False
    creates: bool = False
    sampled: bool = False


SITES: dict[str, Site] = {
    "on_record_create": Site(Kind.TOLD, "create"),
    "on_record_change": Site(Kind.TOLD, "create"),
    "on_record_update": Site(Kind.TOLD, "update"),
    "on_record_delete": Site(Kind.TOLD, "delete"),
    "on_user_login": Site(Kind.TOLD, "login"),
    "on_user_register": Site(Kind.TOLD, "register"),
    "on_function_complete": Site(Kind.TOLD, "call"),
    "on_function_call": Site(Kind.HEARD, "call"),
    "before_record_create": Site(Kind.ASKED, "create", answers=True, creates=True),
    "before_record_update": Site(Kind.ASKED, "update", answers=True),
    "before_record_delete": Site(Kind.ASKED, "delete"),
    "on_record_write": Site(Kind.ASKED, "create", creates=True),
    "before_user_register": Site(Kind.ASKED, "register", answers=True, sampled=True),
    "before_user_login": Site(Kind.ASKED, "login", sampled=True),
    "before_function_call": Site(Kind.ASKED, "call", answers=True, sampled=True),
    "before_collection_create": Site(Kind.ASKED, "collect", answers=True, sampled=True),
    "before_request": Site(Kind.ASKED, "create", answers=True, sampled=True),
    "after_request": Site(Kind.HEARD, "create", sampled=True),
    "on_user_login_failed": Site(Kind.TOLD, "refused", sampled=True),
}

_HEAD = """
import asyncio, ctypes, json, logging, os, resource, sys, threading, time
from pathlib import Path
from sqlalchemy import text
import tinybase.extensions
from tinybase.db import db

RAN = Path(os.environ["FAULTS_RAN"])

def note(name, event):
    descriptor = os.open(RAN, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f"{name} {event.request_id}\\n".encode())
    os.close(descriptor)

def named(event):
    site, _, rest = (event.request_id or "").partition(".")
    return site, rest.partition(".")[0]

def handle(site, handler):
    handler.__name__ = handler.__qualname__ = site
    getattr(tinybase.extensions, site)(handler)
"""

_BAD = """
class Base(BaseException): pass

class Unprintable(Exception):
    def __str__(self): raise ValueError
    __repr__ = __str__

def endless(): endless()

def deep():
    value = []
    for _ in range(100_000): value = [value]
    return value

def spin(site):
    is_told = site.startswith("on_") and site not in ("on_record_write", "on_function_call")
    until = time.monotonic() + (0.4 if is_told else 1.3)
    while time.monotonic() < until: pass

def spoil(event):
    for name, value in list(vars(event).items()):
        if name in ("data", "payload"): continue
        if isinstance(value, dict): value.clear()
        setattr(event, name, None)

def create(ctx):
    ctx.records.create("notes", {"title": "by a handler"})

def write(ctx):
    ctx.db.execute(text("UPDATE users SET email = email"))

def leave_open():
    db.session.execute(text("UPDATE users SET email = email"))

def flood():
    log = logging.getLogger(__name__)
    for _ in range(100): log.error("x" * 10_000)

def leak_threads():
    for _ in range(20): threading.Thread(target=time.sleep, args=(30,), daemon=True).start()

def leak_descriptors():
    for _ in range(20): os.dup(2)

async def later():
    await asyncio.sleep(0)

def hoard():
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, hard))
    hoarded = []
    try:
        while True: hoarded.append(bytearray(2**24))
    finally:
        hoarded.clear()
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

def commit(site, event, ctx):
    wanted, fault = named(event)
    if wanted != site or (event.depth and fault != "re-entrancy"): return
    note("bad", event)
"""

_FOR_EACH = """
for site in {sites!r}:
    handle(site, (lambda site: lambda event{ctx}: {what})(site))
"""

_WITNESS = """
from tinybase.functions import register

@register(name="pay", auth="public")
def pay(): return os.getpid()

def witness(site, event):
    if named(event)[0] == site and not event.depth: note("witness", event)
"""


def bad_one() -> str:
    """Return the extension that commits the faults."""
    branches = [
        f"    if fault == {name!r}:\n        {code}"
        for name, code in [*((name, code) for name, (_, code) in FAULTS.items()), *RETURNED.items()]
    ]
    return "\n".join(
        [
            _HEAD,
            _BAD.rstrip(),
            *branches,
            _FOR_EACH.format(sites=list(SITES), ctx=", ctx", what="commit(site, event, ctx)"),
        ]
    )


def good_one() -> str:
    """Return the extension that writes down which of its handlers ran."""
    what = "witness(site, event)"
    return _HEAD + _WITNESS + _FOR_EACH.format(sites=list(SITES), ctx="", what=what)
