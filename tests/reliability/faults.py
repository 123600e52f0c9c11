"""What code of an extension can do wrong, where it is called, and what comes of it.

:mod:`reliability.culprits` has the extensions that do it.
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
    "hang": (Outcome.DELAY, "time.sleep(HANG)"),
    "busy-loop": (Outcome.DELAY, "spin(SECONDS[site])"),
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
    """What the request has to do with the code that is called."""

    TOLD = "the request goes on, whatever its handlers do"
    ASKED = "it is refused unless its handlers answer in time"
    HEARD = "it waits for its handlers, and goes on without an answer"
    VIEW = "it gets what the view answers, or its failure"
    CALL = "it gets how the call has ended"
    PROBE = "it is told that the server is degraded unless the check passes in time"
    SCRAPE = "it gets what collectors tell in time"


EVENTS = (Kind.TOLD, Kind.ASKED, Kind.HEARD)
"""The kinds of hooks; the others are of what an extension contributes."""

_BOUNDED = (Kind.ASKED, Kind.PROBE, Kind.SCRAPE)
_LONG = {Kind.TOLD: 0.4, Kind.PROBE: 2.3}


@dataclass(frozen=True)
class Site:
    """One place at which code of an extension is called.

    :param request: which request brings it about, see :mod:`reliability.requests`.
    :param answers: whether what it returns is used.
    :param awaits: whether a coroutine that it returns is awaited.
    :param creates: whether it is about the creation of a record, which a handler that
        creates one causes again, in the transaction that is open.
    :param is_whole: whether the ordinary run commits every fault there. Elsewhere, where the
        code under test is the same, it commits a part of them.
    """

    kind: Kind
    request: str
    answers: bool = False
    awaits: bool = True
    creates: bool = False
    is_whole: bool = False

    @property
    def has_witness(self) -> bool:
        """Say whether other extensions are called as well."""
        return self.kind not in (Kind.CALL, Kind.VIEW)


SITES: dict[str, Site] = {
    # First, since no more than sixty errors a minute are told.
    "on_error": Site(Kind.TOLD, "break"),
    "on_record_create": Site(Kind.TOLD, "create", is_whole=True),
    "on_record_change": Site(Kind.TOLD, "create"),
    "on_record_update": Site(Kind.TOLD, "update"),
    "on_record_delete": Site(Kind.TOLD, "delete"),
    "on_record_write_failed": Site(Kind.TOLD, "fail_to_write"),
    "on_user_login": Site(Kind.TOLD, "login"),
    "on_user_login_failed": Site(Kind.TOLD, "fail_to_login"),
    "on_user_logout": Site(Kind.TOLD, "logout"),
    "on_user_register": Site(Kind.TOLD, "register"),
    "on_user_update": Site(Kind.TOLD, "change_email"),
    "on_user_delete": Site(Kind.TOLD, "delete_user"),
    "on_password_change": Site(Kind.TOLD, "change_password"),
    "on_collection_create": Site(Kind.TOLD, "make_collection"),
    "on_collection_update": Site(Kind.TOLD, "change_collection"),
    "on_collection_delete": Site(Kind.TOLD, "drop_collection"),
    "on_extension_enable": Site(Kind.TOLD, "switch_on"),
    "on_extension_disable": Site(Kind.TOLD, "switch_off"),
    "on_function_complete": Site(Kind.TOLD, "call"),
    "on_function_call": Site(Kind.HEARD, "call", is_whole=True),
    "after_request": Site(Kind.HEARD, "create"),
    "before_record_create": Site(Kind.ASKED, "create", answers=True, creates=True, is_whole=True),
    "before_record_update": Site(Kind.ASKED, "update", answers=True),
    "before_record_delete": Site(Kind.ASKED, "delete"),
    "on_record_write": Site(Kind.ASKED, "create", creates=True),
    "before_user_register": Site(Kind.ASKED, "register", answers=True),
    "before_user_login": Site(Kind.ASKED, "login"),
    "before_function_call": Site(Kind.ASKED, "call", answers=True),
    "before_collection_create": Site(Kind.ASKED, "make_collection", answers=True),
    "before_collection_update": Site(Kind.ASKED, "change_collection", answers=True),
    "before_collection_delete": Site(Kind.ASKED, "drop_collection"),
    "before_request": Site(Kind.ASKED, "create", answers=True),
    "authenticate": Site(Kind.ASKED, "create_with_a_key", answers=True),
    "token_claims": Site(Kind.ASKED, "login", answers=True),
    "can_access": Site(Kind.ASKED, "read", answers=True),
    "filter_records": Site(Kind.ASKED, "list", answers=True),
    "redact_record": Site(Kind.ASKED, "read", answers=True),
    "function": Site(Kind.CALL, "call_the_function", answers=True),
    "view": Site(Kind.VIEW, "visit", awaits=False),
    "health_check": Site(Kind.PROBE, "probe"),
    "metric": Site(Kind.SCRAPE, "scrape", answers=True, awaits=False),
}

SECONDS = {name: _LONG.get(site.kind, 1.3) for name, site in SITES.items()}
"""How long it takes there to be late."""

HOOKS = [name for name, site in SITES.items() if site.kind in EVENTS]

INAPPLICABLE = {
    ("metric", "re-entrancy"): "a collector gets no ctx, with which it could cause anything",
}
"""The cells that cannot be, and why."""


def outcome_of(site: str, fault: str) -> Outcome:
    """Return what comes of a fault at a site: nothing, a failure, an endless chain or death."""
    at = SITES[site]
    if fault in RETURNED:
        return Outcome.FAILURE if at.answers else Outcome.NOTHING
    if fault == "coroutine" and not at.awaits:
        return Outcome.FAILURE
    outcome = FAULTS[fault][0]
    if outcome is Outcome.DELAY:
        return Outcome.FAILURE if at.kind in _BOUNDED else Outcome.NOTHING
    if outcome is Outcome.ENDLESS:
        return outcome if at.creates else Outcome.NOTHING
    return outcome


class Moment(StrEnum):
    """When code of an extension runs that nobody has asked for."""

    IMPORT = "it is imported"
    COLLECT = "it is asked what it contributes"
    STARTUP = "a worker starts"
    SHUTDOWN = "a worker stops"


class Fate(StrEnum):
    """What becomes of an extension that commits a fault while it is loaded or started."""

    RUNS = "enabled"
    SHOWN = "enabled, with a reason that shows what has failed"
    FAILED = "failed"
    QUARANTINED = "quarantined"


LOADING = (Moment.IMPORT, Moment.COLLECT)

_WITHOUT_DATABASE = (
    "rejection-of-the-database",
    "half-written",
    "open-transaction",
    "written",
    "rollback",
    "pragma",
)
"""What takes a database, which there is none of while an extension is loaded."""


def faults_at(moment: Moment) -> list[str]:
    """Return the faults that leave the process alive and that can be committed then.

    A module returns nothing.
    """
    alive = [name for name, (outcome, _) in FAULTS.items() if outcome is not Outcome.DEATH]
    if moment is Moment.IMPORT:
        return [name for name in alive if name != "coroutine"]
    return [*alive, *RETURNED]


def outcome_at(moment: Moment, fault: str) -> Outcome:
    """Return what comes of a fault then."""
    outcome = FAULTS[fault][0] if fault in FAULTS else Outcome.NOTHING
    if moment in LOADING and fault in _WITHOUT_DATABASE:
        return Outcome.FAILURE
    if moment is not Moment.COLLECT:
        return Outcome.NOTHING if outcome is Outcome.ENDLESS else outcome
    is_failure = outcome is Outcome.ENDLESS or fault in ("coroutine", *RETURNED)
    return Outcome.FAILURE if is_failure else outcome


def fate_of(moment: Moment, fault: str) -> Fate:
    """Return what becomes of an extension that commits a fault then.

    While it stops that is to be seen in the log only.
    """
    outcome = outcome_at(moment, fault)
    if outcome is Outcome.DEATH and moment is not Moment.SHUTDOWN:
        # A worker that starts is told to stop by those who serve, and by nobody else.
        return Fate.RUNS if fault == "termination" else Fate.QUARANTINED
    if outcome is Outcome.DELAY and moment in LOADING:
        return Fate.QUARANTINED
    if outcome is Outcome.FAILURE and moment is not Moment.SHUTDOWN:
        return Fate.FAILED if moment in LOADING else Fate.SHOWN
    return Fate.RUNS
