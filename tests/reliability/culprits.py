"""The extensions that commit the faults, and those that write down what they see meanwhile.

A request says in its ``X-Request-Id`` which fault is to be committed where, as
``SITE.FAULT.NUMBER``. What has neither an event nor a ``ctx`` to learn that from reads it in a
file, and what runs while an extension is loaded, started and shut down has one fault of its own.
Everybody else's code does nothing but write down that it ran.
"""

from __future__ import annotations

from .faults import FAULTS, HOOKS, LOADING, RETURNED, SECONDS, Moment

_HEAD = """
import asyncio, ctypes, json, logging, os, resource, sys, threading, time
from pathlib import Path
from types import SimpleNamespace
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy import text
import tinybase.extensions
from tinybase.db import db
from tinybase.extensions import health_check, register_metric
from tinybase.functions import register

FOLDER = Path(os.environ["FAULTS_FOLDER"])

def note(name, event):
    descriptor = os.open(FOLDER / "ran", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f"{name} {event.request_id}\\n".encode())
    os.close(descriptor)

def of(ctx):
    "Stands for the event where there is none."
    return SimpleNamespace(request_id=ctx.request_id, depth=0)

def wanted():
    "Stands for the event where there is not even a ctx."
    return SimpleNamespace(request_id=(FOLDER / "wanted").read_text(), depth=0)

def named(event):
    site, _, rest = (event.request_id or "").partition(".")
    return site, rest.partition(".")[0]

def handle(site, handler):
    handler.__name__ = handler.__qualname__ = site
    getattr(tinybase.extensions, site)(handler)
"""

_WRONGS = """
class Base(BaseException): pass

class Unprintable(Exception):
    def __str__(self): raise ValueError
    __repr__ = __str__

def endless(): endless()

def deep():
    value = []
    for _ in range(100_000): value = [value]
    return value

def spin(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until: pass

def spoil(event):
    for name, value in list(vars(event).items()):
        if name in ("data", "payload"): continue
        if isinstance(value, dict): value.clear()
        setattr(event, name, None)

def create(ctx):
    ctx.records.create("notes", {"title": "by an extension"})

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
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**26 + 2**25, hard))
    hoarded = []
    try:
        # So much at once that enough is left for a thread of the host.
        while True: hoarded.append(bytearray(2**26))
    finally:
        hoarded.clear()
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

"""

_COMMIT = """
SECONDS, HANG = {seconds!r}, 2.5

def commit(site, event, ctx):
    wanted, fault = named(event)
    if wanted != site or (event.depth and fault != "re-entrancy"): return
    note("culprit", event)
"""

_FOR_EACH = """
for site in {sites!r}:
    handle(site, (lambda site: lambda event{ctx}: {what})(site))
"""

_CULPRIT = """
from flask import Blueprint
from tinybase.extensions import register_blueprint

@register(name="function", auth="public")
def function(ctx):
    return commit("function", of(ctx), ctx)

views = Blueprint("views", __name__)
register_blueprint(views, auth="public")

@views.post("/")
def view(ctx):
    answer = commit("view", of(ctx), ctx)
    return {} if answer is None else answer

@health_check("health_check")
def check(ctx):
    commit("health_check", of(ctx), ctx)

class metric:
    def collect(self):
        answer = commit("metric", wanted(), SimpleNamespace(db=db.session))
        return [GaugeMetricFamily("of_the_culprit", "", 1)] if answer is None else answer

register_metric(metric())
"""

_PAY = """
@register(name="pay", auth="public")
def pay(): return os.getpid()
"""

_WITNESS = """
@register(name="broken", auth="public")
def broken(): raise ValueError("of no interest")

def knows(event):
    if event.headers.get("authorization") == "Key of the admin":
        return tinybase.extensions.Identity(email=os.environ["FAULTS_ADMIN"])

def witness(site, event):
    if named(event)[0] == site and not event.depth: note("witness", event)
    return knows(event) if site == "authenticate" else None

@health_check("witness")
def check(ctx): witness("health_check", of(ctx))

class Collector:
    def collect(self):
        witness("metric", wanted())
        return [GaugeMetricFamily("of_the_witness", "", 1)]

register_metric(Collector())
"""


_ONE_FAULT = """
def commit(ctx):
    event, site = SimpleNamespace(request_id={name!r}), ""
    SECONDS, HANG = {{"": {spins}}}, {hangs}
    note("culprit", event)
    {code}
"""

_CAUSES_ITSELF = {
    Moment.IMPORT: """
def create(ctx): __import__(__name__)
""",
    Moment.COLLECT: "def create(ctx): contribute()",
    Moment.STARTUP: "",
    Moment.SHUTDOWN: "",
}

_MOMENTS = {
    Moment.IMPORT: "commit(None)",
    Moment.COLLECT: """
@tinybase.extensions.hookimpl(specname={hook!r})
def contribute(): return commit(None)
""",
    Moment.STARTUP: """
@tinybase.extensions.on_startup
def starts(ctx): return commit(ctx)
""",
    Moment.SHUTDOWN: """
@tinybase.extensions.on_shutdown
def stops(ctx): return commit(ctx)
""",
}

_WITNESS_OF_MOMENTS = """
def saw(what): note(what, SimpleNamespace(request_id=str(os.getpid())))

@tinybase.extensions.on_startup
def starts(): saw("startup")

@tinybase.extensions.on_shutdown
def stops(): saw("shutdown")
"""


_COMMAND = """
import click
from tinybase.extensions import command, pass_context

def create(ctx): commit("re-entrancy", ctx)

@command
@click.command("commit")
@click.argument("fault")
@pass_context
def run(ctx, fault):
    event = SimpleNamespace(request_id=fault)
    note("culprit", event)
    return commit(fault, ctx)

def commit(fault, ctx):
    event, site, SECONDS, HANG = SimpleNamespace(), "", {"": 0.1}, 0.1
"""


def culprit() -> str:
    """Return the extension that commits the faults which requests ask for."""
    commit = _COMMIT.format(seconds=SECONDS).rstrip()
    each = _FOR_EACH.format(sites=HOOKS, ctx=", ctx", what="commit(site, event, ctx)")
    return "\n".join([_HEAD, _WRONGS, commit, *_branches(), _CULPRIT, each])


def culprit_on_command() -> str:
    """Return the extension whose command commits the fault that is its argument."""
    return "\n".join([_HEAD, _WRONGS, _COMMAND.rstrip(), *_branches()])


def witness() -> str:
    """Return the extension that writes down which of its handlers ran."""
    each = _FOR_EACH.format(sites=HOOKS, ctx="", what="witness(site, event)")
    return _HEAD + _PAY + _WITNESS + each


def culprit_at(moment: Moment, fault: str, hook: str = "") -> str:
    """Return an extension that commits one fault at a moment.

    :param hook: at which it contributes something, if that is the moment.
    """
    code = RETURNED.get(fault) or FAULTS[fault][1]
    spins, hangs = (6, 7) if moment in LOADING else (1.3, 2.5)
    name = f"{moment.name}.{fault}"
    commit = _ONE_FAULT.format(name=name, code=code, spins=spins, hangs=hangs)
    parts = [_HEAD, _WRONGS, _CAUSES_ITSELF[moment], commit, _MOMENTS[moment].format(hook=hook)]
    return "\n".join(parts)


def witness_of_moments() -> str:
    """Return the extension that writes down which process has started and stopped it."""
    return _HEAD + _PAY + _WITNESS_OF_MOMENTS


def _branches() -> list[str]:
    """Return the code of all faults, each for its name."""
    codes = {name: code for name, (_, code) in FAULTS.items()} | RETURNED
    return [f"    if fault == {name!r}:\n        {code}" for name, code in codes.items()]
