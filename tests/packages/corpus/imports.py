"""What extensions do while they are imported."""

from __future__ import annotations

from .case import failed, flat, installed

_ENDLESS = "import sys\nwhile True:\n    sys.{stream}.write('x' * 65536)\n"
_MISUSE = (
    "from tinybase.extensions import on_record_create\n"
    "@on_record_create(colection='x')\ndef f(event): pass\n"
)
_UNPRINTABLE = (
    "class Odd(Exception):\n    def __str__(self): raise ValueError('no words')\nraise Odd()\n"
)
_PATCH = (
    "import sqlite3\nreal = sqlite3.connect\n"
    "sqlite3.connect = lambda *args, **options: real(*args, **options)\n"
)
_THREADS = (
    "from threading import Event, Thread\n"
    "for _ in range(20):\n    Thread(target=Event().wait).start()\n"
)
_PEEK = (
    "import os\n"
    "found = [name for name in os.environ if name.endswith('GIT_TOKEN')]\n"
    "raise RuntimeError(f'it sees {len(found)} tokens')\n"
)
_TWICE = (
    "from tinybase.functions import register\n"
    "@register(name='resident', auth='admin')\ndef run(ctx): return {}\n"
)

IMPORTS = (
    failed("raises", "raises", "RuntimeError: boom", flat(init="raise RuntimeError('boom')")),
    failed(
        "undeclared",
        "imports what it does not declare",
        'add numpy_absent = "*" under [extension.dependencies]',
        flat(init="import numpy_absent"),
    ),
    failed("torn", "imports a module it lacks", "add it", flat(init="import torn.absent")),
    failed("misspelt", "is no Python", "invalid syntax", flat(init="def broken(:")),
    failed("null", "has a NUL byte", "null bytes", flat(init="x = 1\0")),
    failed("exits", "calls sys.exit", "exit code 3", flat(init="import sys; sys.exit(3)")),
    failed("leaves", "calls os._exit", "exit code 7", flat(init="import os; os._exit(7)")),
    failed(
        "pretends", "exits as if all were well", "exit code 0", flat(init="import os; os._exit(0)")
    ),
    failed("crashes", "crashes", "signal 6", flat(init="import os; os.abort()")),
    failed(
        "kills",
        "kills its process",
        "signal 9",
        flat(init="import os, signal; os.kill(os.getpid(), signal.SIGKILL)"),
    ),
    failed(
        "hangs", "waits for ever", "took longer than", flat(init="import time; time.sleep(600)")
    ),
    failed("spins", "computes for ever", "took longer than", flat(init="while True: pass")),
    failed(
        "prints", "prints for ever", "took longer than", flat(init=_ENDLESS.format(stream="stdout"))
    ),
    failed(
        "wails",
        "complains for ever",
        "took longer than",
        flat(init=_ENDLESS.format(stream="stderr")),
    ),
    failed("recurses", "recurses for ever", "RecursionError", flat(init="def f(): f()\nf()")),
    failed("hoards", "wants an exbibyte", "MemoryError", flat(init="bytearray(2**60)")),
    failed(
        "interrupts",
        "raises KeyboardInterrupt",
        "KeyboardInterrupt",
        flat(init="raise KeyboardInterrupt"),
    ),
    failed(
        "unwinds",
        "raises a BaseException of its own",
        "Odd: gone",
        flat(init="class Odd(BaseException): pass\nraise Odd('gone')"),
    ),
    failed("peeks", "looks for tokens", "it sees 0 tokens", flat(init=_PEEK)),
    failed("unprintable", "raises what cannot be printed", "Odd", flat(init=_UNPRINTABLE)),
    failed(
        "multi-line",
        "raises with many lines and control characters",
        "RuntimeError: one two",
        flat(init=r"raise RuntimeError('one\ntwo\n\x1b[31mthree')"),
    ),
    failed("misused", "misuses a decorator", "colection", flat(init=_MISUSE)),
    failed(
        "signals",
        "changes signal handlers",
        "signal only works in main thread",
        flat(init="import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"),
    ),
    failed("twice", "has the function of another extension", "resident", flat(init=_TWICE)),
    installed("two-gib", "reserves 2 GiB", flat(init="import mmap\nkept = mmap.mmap(-1, 2**31)")),
    installed(
        "patches",
        "puts something of its own in place of sqlite3.connect",
        flat(init=_PATCH),
    ),
    installed(
        "threads",
        "starts threads that never end",
        flat(init=_THREADS),
    ),
    installed("mutes", "switches off logging", flat(init="import logging\nlogging.disable()")),
    installed("closes", "closes its output", flat(init="import os\nos.close(1)\nos.close(2)")),
    installed("moves", "changes the working folder", flat(init="import os\nos.chdir('/')")),
    installed("talks", "prints a great deal", flat(init="print('x' * 1_000_000)")),
)
