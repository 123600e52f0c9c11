"""What can be read from the source of an extension, of which nothing is run."""

from __future__ import annotations

import sys
import textwrap
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from github import write

from tinybase.packages import build
from tinybase.packages.inspection import (
    Changes,
    Inspection,
    Power,
    compare,
    inspect_flat,
    inspect_project,
    inspect_wheel,
    reading,
)
from tinybase.packages.inspection.findings import (
    Command,
    Implementation,
    Offer,
    OwnCollection,
    OwnField,
    OwnSetting,
    Route,
    Unread,
    Use,
    Variable,
)
from tinybase.packages.wheels import write_wheel

from .conftest import flat


def inspect(folder: Path, source: str | bytes) -> Inspection:
    """Inspect one module, ``m.py``, of a project."""
    content = source if isinstance(source, bytes) else source.encode()
    (folder / "m.py").write_bytes(content)
    return inspect_project(folder)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        # Running programs.
        ("import subprocess\nsubprocess.run('x')", ["uses subprocess (m.py:2)"]),
        ("import subprocess as sp\nsp.run('x')", ["uses subprocess (m.py:2)"]),
        ("from subprocess import run as go\ngo('x')", ["uses subprocess (m.py:2)"]),
        ("from subprocess import *\nrun('x')\nprint()", ["uses subprocess (m.py:2)"]),
        ("def f():\n import os\n os.system('x')", ["uses os.system (m.py:3)"]),
        ("import os\nrun = os.popen\nrun('x')", ["uses os.popen (m.py:2, m.py:3)"]),
        ("import os\na, b = 1, os.execv\nb()", ["uses os.execv (m.py:2, m.py:3)"]),
        ("import os\nmap(os.system, x)", ["uses os.system (m.py:2)"]),
        ("import pty\npty.spawn('sh')", ["uses pty (m.py:2)"]),
        ("try:\n import subprocess as s\nexcept E:\n s = 0\ns.run()", ["uses subprocess (m.py:5)"]),
        ("def f():\n global s\n import subprocess as s\ns.run()", ["uses subprocess (m.py:4)"]),
        ("import subprocess  # for others", ["uses subprocess (m.py:1)"]),
        ("async def f():\n import asyncio as a\n await a.create_subprocess_shell(c)",
         ["uses asyncio.create_subprocess_shell (m.py:3)"]),
        # Round about.
        ("import importlib as i\ni.import_module('os').system('x')", ["uses os.system (m.py:2)"]),
        ("__import__('os').system('x')", ["uses os.system (m.py:1)"]),
        ("import os\ngetattr(os, 'system')('x')", ["uses os.system (m.py:2)"]),
        ("import os\nvars(os)['system']('x')", ["uses os.system (m.py:2)"]),
        ("import sys\nsys.modules['os'].system('x')", ["uses os.system (m.py:2)"]),
        ("import os\n(os if a else b).system('x')", ["uses os.system (m.py:2)"]),
        ("import os\nif (s := os.system): s('x')", ["uses os.system (m.py:2)"]),
        # Code made while it runs.
        ("eval('1')", ["uses eval (m.py:1)"]),
        ("exec(code)", ["uses exec (m.py:1)"]),
        ("compile(a, b, 'exec')", ["uses compile (m.py:1)"]),
        ("__builtins__['eval']('x')", ["uses eval (m.py:1)"]),
        ("import builtins as b\nb.exec('x')", ["uses exec (m.py:2)"]),
        ("__import__(name)", ["uses __import__ (m.py:1)"]),
        ("from importlib import import_module as i\ni('.' + x)",
         ["uses importlib.import_module (m.py:2)"]),
        ("import os\ngetattr(os, name)()", ["uses getattr of os (m.py:2)"]),
        # Connections.
        ("import socket\nsocket.create_connection(a)", ["uses socket (m.py:2)"]),
        ("import requests\ns = requests.Session()\ns.get(u)", ["uses requests (m.py:2, m.py:3)"]),
        ("import httpx\nwith httpx.Client() as c:\n c.get(u)", ["uses httpx (m.py:2, m.py:3)"]),
        ("from urllib.request import urlopen\nurlopen(u)", ["uses urllib.request (m.py:2)"]),
        ("import http.client\nhttp.client.HTTPConnection(h)", ["uses http.client (m.py:2)"]),
        ("import aiohttp, smtplib, ftplib, websockets",
         ["uses aiohttp (m.py:1)", "uses ftplib (m.py:1)", "uses smtplib (m.py:1)",
          "uses websockets (m.py:1)"]),
        # Native code and objects from bytes.
        ("import ctypes\nctypes.CDLL('x')", ["uses ctypes (m.py:2)"]),
        ("from cffi import FFI\nFFI()", ["uses cffi (m.py:2)"]),
        ("import pickle as p\np.loads(b)", ["uses pickle.loads (m.py:2)"]),
        ("import marshal\nmarshal.loads(b)", ["uses marshal.loads (m.py:2)"]),
        # Files.
        ("open('x', 'w')", ["uses open to write (m.py:1)"]),
        ("open('x', mode='ab')", ["uses open to write (m.py:1)"]),
        ("open('x', 'r+')", ["uses open to write (m.py:1)"]),
        ("open('x', mode)", ["uses open to write (m.py:1)"]),
        ("open('x', **options)", ["uses open to write (m.py:1)"]),
        ("import gzip\ngzip.open('x', 'xb')", ["uses gzip.open to write (m.py:2)"]),
        ("import os\nos.open('x', os.O_RDWR)", ["uses os.open (m.py:2)"]),
        ("path.write_text('x')", ["uses .write_text (m.py:1)"]),
        ("path.open('w')", ["uses .open to write (m.py:1)"]),
        ("from pathlib import Path\n(Path(a) / 'b').rename(c)",
         ["uses pathlib.Path.rename (m.py:2)"]),
        ("from shutil import rmtree\nrmtree('x')", ["uses shutil.rmtree (m.py:2)"]),
        ("import os\nos.remove(a); os.rename(b, c)",
         ["uses os.remove (m.py:2)", "uses os.rename (m.py:2)"]),
        # The process, and what belongs to others.
        ("import threading as t\nt.Thread(target=f).start()", ["uses threading.Thread (m.py:2)"]),
        ("import signal\nsignal.signal(signal.SIGTERM, f)", ["uses signal.signal (m.py:2)"]),
        ("import atexit\n@atexit.register\ndef f(): pass", ["uses atexit (m.py:2)"]),
        ("import os, sys\nos._exit(1)\nsys.exit()",
         ["uses os._exit (m.py:2)", "uses sys.exit (m.py:3)"]),
        ("import builtins\nbuiltins.open = mine", ["changes builtins.open (m.py:2)"]),
        ("import json\nsetattr(json, 'dumps', mine)", ["changes json.dumps (m.py:2)"]),
        ("import sys\nsys.modules['json'] = mine", ["changes sys.modules (m.py:2)"]),
        ("import os\nos.environ['A'] = 'x'", ["changes os.environ (m.py:2)"]),
        ("import sys\nsys.path.insert(0, p)", ["uses sys.path (m.py:2)"]),
        ("import os\nprint(dict(os.environ))", ["uses os.environ (m.py:2)"]),
        # Nothing of the kind.
        ("def eval(x): return x\neval('1')", []),
        ("def f(open): open('x', 'w')", []),
        ("import re\nre.compile('x')\nfrom re import compile\ncompile('y')", []),
        ("open('x'); open('x', 'rb')", []),
        ("import os\nos.open('x', os.O_RDONLY); os.path.join('a', 'b')", []),
        ("import importlib\nimportlib.import_module('json')", []),
        ("import subprocess\ntry: f()\nexcept subprocess.CalledProcessError: pass",
         ["uses subprocess (m.py:1)"]),
        ("import threading\nlock = threading.Lock()", []),
        ("from . import state\nstate.connected = True", []),
        ("class A:\n def eval(self): self.eval()", []),
        ("text.replace('a', 'b'); menu.open('the x')", []),
        ("a = a\na.b()", []),
    ],
)  # fmt: skip
def test_a_power_is_found_where_it_is_used(
    source: str, expected: list[str], tmp_path: Path
) -> None:
    assert list(inspect(tmp_path, source).warnings) == expected


@pytest.mark.parametrize(
    ("source", "hook", "handler", "filters"),
    [
        ("from tinybase.extensions import on_startup\n@on_startup\ndef f(): pass",
         "on_startup", "f", {}),
        ("from tinybase.extensions import on_startup as s\n@s()\nasync def f(): pass",
         "on_startup", "f", {}),
        ("import tinybase.extensions\n@tinybase.extensions.on_shutdown\ndef f(): pass",
         "on_shutdown", "f", {}),
        ("from tinybase import extensions as e\n@e.on_user_login\ndef f(x): pass",
         "on_user_login", "f", {}),
        ("from tinybase.extensions import *\n@on_user_register\ndef f(x): pass",
         "on_user_register", "f", {}),
        ("from tinybase.extensions import on_record_create as c\n"
         "@c(collection='a', tryfirst=True)\ndef f(x): pass",
         "on_record_create", "f", {"collection": ("a",)}),
        ("from tinybase.extensions import on_record_update as u\nN = ['a', 'b*']\n"
         "@u(collection=N)\ndef f(x): pass",
         "on_record_update", "f", {"collection": ("a", "b*")}),
        ("from tinybase.extensions import on_record_delete as d\n"
         "@d(collection=names())\ndef f(x): pass",
         "on_record_delete", "f", {"collection": None}),
        ("from tinybase.extensions import on_function_call as c\n"
         "@c(name=('pay', 'x'))\ndef f(x): pass",
         "on_function_call", "f", {"name": ("pay", "x")}),
        ("from tinybase.extensions import on_function_complete as c\n"
         "class A:\n @staticmethod\n @c(name=None)\n def f(x): pass",
         "on_function_complete", "A.f", {}),
        ("from tinybase.extensions import on_startup\non_startup(Client().begin)",
         "on_startup", "Client().begin", {}),
        ("from tinybase.extensions import on_record_create as c\nc(collection='a')(f)",
         "on_record_create", "f", {"collection": ("a",)}),
        ("from tinybase.extensions import on_startup\nfor f in all_: apply(on_startup, f)",
         "on_startup", "", {}),
        ("from tinybase.extensions import hookimpl\n@hookimpl\ndef tinybase_on_startup(): pass",
         "on_startup", "tinybase_on_startup", {}),
        ("import tinybase_hookspecs as h\n@h.hookimpl(specname='tinybase_on_startup')\n"
         "def go(): pass", "on_startup", "go", {}),
        ("import pluggy\nhook = pluggy.HookimplMarker('tinybase')\n@hook(wrapper=True)\n"
         "def tinybase_on_user_login(event): yield", "on_user_login",
         "tinybase_on_user_login", {}),
    ],
)  # fmt: skip
def test_a_hook_is_found_however_it_is_implemented(
    source: str, hook: str, handler: str, filters: dict[str, tuple[str, ...]], tmp_path: Path
) -> None:
    (found,) = inspect(tmp_path, source).hooks

    assert (found.hook, found.handler) == (f"tinybase_{hook}", handler)
    assert dict(found.filters) == filters


@pytest.mark.parametrize(
    "source",
    [
        "from tinybase.extensions import RecordCreateEvent, on_startup",
        "def on_startup(f): return f\n@on_startup\ndef f(): pass",
        "from other import on_startup\n@on_startup\ndef f(): pass",
        "from tinybase.extensions import hookimpl\n@hookimpl\ndef pytest_configure(): pass",
    ],
)
def test_what_is_no_hook_is_not_taken_for_one(source: str, tmp_path: Path) -> None:
    assert inspect(tmp_path, source).hooks == ()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from tinybase.functions import register\n@register('a')\ndef f(): pass", ("a", "auth")),
        ("from tinybase.functions import register as r\n@r(name='a', auth='admin')\ndef f(): pass",
         ("a", "admin")),
        ("import tinybase.functions as t\n@t.register(name='a', auth=LEVEL)\ndef f(): pass",
         ("a", None)),
        ("from tinybase.functions import register\nregister(name='a', auth='public')(f)",
         ("a", "public")),
        ("from tinybase.functions import register\n@register(name=NAME + 'x')\ndef f(): pass",
         (None, "auth")),
        ("from tinybase.functions import register\n@register(**options)\ndef f(): pass",
         (None, None)),
        ("from tinybase_hookspecs import FunctionDeclaration as D\nD('a', f, auth='admin')",
         ("a", "admin")),
    ],
)  # fmt: skip
def test_a_function_is_found_with_its_level(
    source: str, expected: tuple[str | None, str | None], tmp_path: Path
) -> None:
    found = inspect(tmp_path, source)

    assert [(item.name, item.auth) for item in found.functions] == [expected]
    assert any("computed name" in text for text in found.warnings) == (expected[0] is None)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from .names import ORDERS", ("orders",)),
        ("from .names import ORDERS as O\nORDERS = O", ("orders",)),
        ("from names import ORDERS", ("orders",)),
        ("from . import names\nORDERS = names.ORDERS", ("orders",)),
        ("from .names import *", ("orders",)),
        ("from .sub import ORDERS", ("orders",)),
        ("from .names import BOTH as ORDERS", ("a", "b")),
        ("from .names import OWN as ORDERS", ("own",)),
        (
            "from tinybase.extensions import register_collection as r\nORDERS = r('own', {})",
            ("own",),
        ),
        ("from .names import COMPUTED as ORDERS", None),
        ("from .names import TWICE as ORDERS", None),
        ("from .names import ITSELF as ORDERS", None),
        ("from .broken import ORDERS", None),
        ("from .absent import ORDERS", None),
        ("from elsewhere import ORDERS", None),
        ("try:\n from .names import ORDERS\nexcept ImportError:\n ORDERS = f()", None),
        ("ORDERS = f()", None),
    ],
)
def test_a_filter_is_read_where_its_constant_is_written(
    source: str, expected: tuple[str, ...] | None, tmp_path: Path
) -> None:
    names = """
        from tinybase.extensions import register_collection
        ORDERS, COMPUTED = "orders", f()
        BOTH = ["a", "b"]
        OWN = register_collection(name="own", schema={})
        TWICE = "a"
        TWICE = "b"
        from .names import ITSELF
    """
    write(
        tmp_path,
        {
            "names.py": textwrap.dedent(names),
            "sub/__init__.py": "from ..names import ORDERS\n",
            "broken.py": "ORDERS =\n",
        },
    )
    head = "from tinybase.extensions import on_record_create as on\n"

    found = inspect(tmp_path, f"{head}{source}\n@on(collection=ORDERS)\ndef f(event): pass\n")

    assert [item.filters for item in found.hooks] == [(("collection", expected),)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import os\nos.environ['A']; os.environ.get('B', 'x'); os.getenv('C')", ["A", "B", "C"]),
        ("from os import environ as e, getenv as g\ne['A']; g(key='B')", ["A", "B"]),
        ("import os\nenv = os.environ\nenv.get('A')", ["A"]),
        ("import os\n'A' in os.environ and os.environ.pop('B')", ["A", "B"]),
        ("import os\nKEY = 'A'\ndef f(): return os.environ[KEY]", ["A"]),
        ("import os\nos.environb[b'A']", ["A"]),
    ],
)
def test_environment_variables_are_named(source: str, expected: list[str], tmp_path: Path) -> None:
    found = inspect(tmp_path, source)

    assert sorted({item.name for item in found.environment}) == expected
    assert Power.ENVIRONMENT not in {use.power for use in found.uses}


@pytest.mark.parametrize("use", ["os.environ[name]", "os.getenv(name)", "f(**os.environ)"])
def test_variables_of_any_name_are_a_power(use: str, tmp_path: Path) -> None:
    found = inspect(tmp_path, f"import os\n{use}")

    assert found.environment == ()
    assert found.uses == (Use("m.py", 2, Power.ENVIRONMENT, "os.environ"),)


def test_routes_and_commands_are_found(tmp_path: Path) -> None:
    found = inspect(
        tmp_path,
        """
import click
from flask import Blueprint
views = Blueprint("x", __name__, url_prefix="/audit")

@views.route("/log", methods=["get", "post"])
def log(): pass

@views.delete("/log/<id>")
def drop(id): pass

views.add_url_rule("/all", view_func=log)

@click.group()
def audit_group(): pass

@audit_group.command("show")
def show_it(): pass

@click.command
def drop_all(): pass
""",
    )

    assert [(route.rule, route.methods) for route in found.routes] == [
        ("/audit/log", ("GET", "POST")),
        ("/audit/log/<id>", ("DELETE",)),
        ("/audit/all", ("GET",)),
    ]
    assert [command.name for command in found.commands] == ["audit", "show", "drop-all"]


def test_routes_are_found_with_whom_they_admit(tmp_path: Path) -> None:
    found = inspect(
        tmp_path,
        """
from flask import Blueprint
from tinybase.extensions import public, register_blueprint, requires
views, pages, others = Blueprint("v", __name__), Blueprint("p", __name__), Blueprint("o", __name__)
register_blueprint(views)
register_blueprint(pages, auth="public")

@views.get("/a")
def a(): pass

@views.get("/b")
@public
def b(): pass

@requires("admin")
@pages.get("/c")
def c(): pass

@pages.get("/d")
def d(): pass

@others.get("/e")
def e(): pass
""",
    )

    assert [(route.rule, route.auth) for route in found.routes] == [
        ("/a", "auth"),
        ("/b", "public"),
        ("/c", "admin"),
        ("/d", "public"),
        ("/e", None),
    ]
    assert found.hooks == ()


@pytest.mark.parametrize(
    "name", ["after_request", "authenticate", "can_access", "redact_record", "token_claims"]
)
def test_decorators_of_every_kind_of_hook_are_found(tmp_path: Path, name: str) -> None:
    found = inspect(tmp_path, f"from tinybase.extensions import {name}\n@{name}\ndef f(e): pass")

    assert [hook.decorator for hook in found.hooks] == [name]


@pytest.mark.parametrize(
    ("source", "reason", "line"),
    [
        ("x = 1\ndef f(:\n", "invalid syntax", 2),
        (b"x = '\xff'\n", "unicode", 1),
        (b"# coding: nonsense\n", "nonsense", 0),
        (b"x = 1\0\n", "null bytes", 0),
        ("(" * 500, "too many nested parentheses", 1),
        ("x = " + "-" * 50_000 + "1", "nested too deeply", 0),
        ("x = a" + ".b" * 50_000, "nested too deeply", 0),
        ("a0 = os\n" + "".join(f"a{n + 1} = a{n}\n" for n in range(5_000)) + "a5000.x()",
         "nested too deeply", 0),
        ("".join(f"import m{n} as x\n" for n in range(200)) + "x.y()", "too many things", 0),
        ("#" * (reading.MAX_FILE + 1), "larger than 1024 KiB", 0),
    ],
    ids=[
        *("syntax", "text", "cookie", "null", "parentheses", "minus", "dots", "chain", "names"),
        "size",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_reported_and_not_fatal(
    source: str | bytes, reason: str, line: int, tmp_path: Path
) -> None:
    write(tmp_path, {"other.py": "eval('1')"})

    found = inspect(tmp_path, source)

    (unread,) = found.unread
    assert (unread.file, unread.line) == ("m.py", line)
    assert reason in unread.reason
    assert "\n" not in unread.reason
    assert [use.file for use in found.uses] == ["other.py"]
    assert found.warnings[-1].startswith("cannot be read: ")


def test_there_is_a_limit_to_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {f"m{number}.py": "eval('1')" for number in range(4)})

    monkeypatch.setattr(reading, "MAX_FILES", 2)
    few = inspect_project(tmp_path)
    monkeypatch.setattr(reading, "MAX_TOTAL", 10)
    small = inspect_project(tmp_path)

    assert ([use.file for use in few.uses], few.unread[0].file) == (["m0.py", "m1.py"], "m2.py")
    assert ([use.file for use in small.uses], small.unread[0].file) == (["m0.py"], "m1.py")


def test_code_that_would_kill_or_fail_is_read_and_not_imported(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    killing = f"""
import os
open({str(ran)!r}, "w").close()
os.kill(os.getpid(), 9)
raise RuntimeError
from tinybase.extensions import on_startup

@on_startup
def begin(): pass
"""
    source = write(tmp_path / "source", flat("killing-ext", killing))
    before = set(sys.modules)

    found = inspect_flat(source, "killing_ext")

    assert [item.hook for item in found.hooks] == ["tinybase_on_startup"]
    assert found.warnings == ("uses os.kill (__init__.py:4)", "uses open to write (__init__.py:3)")
    assert not ran.exists()
    assert not {name for name in set(sys.modules) - before if "killing" in name}


def test_the_compiler_has_nothing_to_say_about_foreign_code(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = inspect(tmp_path, "x = '\\d' is 1\nassert (1, 2)")

    assert caught == []
    assert found == Inspection()


def test_a_flat_repository_and_its_wheel_say_the_same(tmp_path: Path) -> None:
    source = write(
        tmp_path / "source",
        {
            **flat("same-ext"),
            "more/hooks.py": "import same_ext\nsame_ext.x = 1\nimport os\nos.getenv('A')\nexec(x)",
            "tests/test_it.py": "import subprocess",
        },
    )
    wheel = tmp_path / build.build_wheel(tmp_path, root=source)

    repository, packed = inspect_flat(source, "same_ext"), inspect_wheel(wheel)

    assert [use.place for use in repository.uses] == ["more/hooks.py:5"]
    assert [use.place for use in packed.uses] == ["same_ext/more/hooks.py:5"]
    assert not compare(repository, packed)


def test_what_a_wheel_has_besides_source_is_reported(tmp_path: Path) -> None:
    members = [
        ("odd/__init__.py", b""),
        ("odd/fast.cpython-311-x86_64-linux-gnu.so", b"\x7fELF"),
        ("odd/libx.so.1", b"\x7fELF"),
        ("odd/__pycache__/__init__.cpython-311.pyc", b""),
        ("odd.pth", b"/some/where\nimport odd.sneaky\n"),
        ("odd-1.dist-info/METADATA", b"Name: odd\nVersion: 1\n"),
    ]

    found = inspect_wheel(write_wheel(tmp_path, "odd-1-py3-none-any", members))

    assert found.warnings == (
        "contains bytecode (odd/__pycache__/__init__.cpython-311.pyc)",
        "contains native code (odd/fast.cpython-311-x86_64-linux-gnu.so, odd/libx.so.1)",
        "uses code in a path file (odd.pth:2)",
    )


def test_a_broken_member_of_a_wheel_is_reported(tmp_path: Path) -> None:
    wheel = tmp_path / "broken-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("broken/__init__.py", "eval('1234567')")
        archive.writestr("broken/other.py", "eval('1')")
    wheel.write_bytes(wheel.read_bytes().replace(b"1234567", b"7654321"))

    found = inspect_wheel(wheel)

    assert found.unread == (Unread("broken/__init__.py", 0, "it cannot be unpacked"),)
    assert [use.file for use in found.uses] == ["broken/other.py"]


def test_what_builds_a_project_is_read_and_its_tests_are_not(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "setup.py": "import os\nos.system('x')",
            "src/own/__init__.py": "import own\nown.x = 1",
            "src/own/tests/data.py": "eval('1')",
            "tests/test_it.py": "import subprocess",
            ".git/hooks/x.py": "import subprocess",
            "venv/pyvenv.cfg": "",
            "venv/x.py": "import subprocess",
            "own/__pycache__/x.cpython-311.pyc": "",
        },
    )
    (tmp_path / "out.py").symlink_to("/usr/lib/python3/os.py")

    assert inspect_project(tmp_path).warnings == (
        "uses os.system (setup.py:2)",
        "uses eval (src/own/tests/data.py:1)",
    )


def test_a_long_list_of_places_is_cut(tmp_path: Path) -> None:
    found = inspect(tmp_path, "exec(x)\n" * 20)

    assert len(found.uses) == 20
    assert found.warnings[0].endswith("m.py:7, m.py:8 and 12 more)")


def test_the_order_is_always_the_same(tmp_path: Path) -> None:
    source = "import os, socket\nos.remove(x); os.system(y); socket.socket(); eval(z); exec(z)\n"
    write(tmp_path, {f"{name}.py": source for name in "cab"})

    found = inspect_project(tmp_path)

    assert found == inspect_project(tmp_path)
    assert [use.file for use in found.uses] == sorted(use.file for use in found.uses)
    assert [text.split()[1] for text in found.warnings] == [
        *("os.system", "socket", "eval", "exec", "os.remove"),
    ]


OLD = Inspection(
    hooks=(
        Implementation(
            "hooks.py", 3, "tinybase_on_record_create", "on_record_create", "f",
            (("collection", ("a",)),),
        ),
    ),
    functions=(Offer("hooks.py", 9, "sync", "admin"), Offer("hooks.py", 12, "old", "auth")),
    routes=(Route("views.py", 1, "/log", ("GET",)),),
    commands=(Command("cli.py", 1, "show"),),
    environment=(Variable("hooks.py", 1, "KEY"),),
    uses=(Use("hooks.py", 5, Power.NETWORK, "requests"),),
    unread=(Unread("odd.py", 1, "invalid syntax"),),
)  # fmt: skip


def test_code_that_only_moved_is_no_change() -> None:
    moved = replace(
        OLD,
        hooks=tuple(replace(item, file="x/other.py", line=99) for item in OLD.hooks),
        uses=(*OLD.uses, Use("x/hooks.py", 77, Power.NETWORK, "requests")),
        unread=(Unread("x/odd.py", 7, "invalid syntax"),),
    )

    assert not compare(OLD, moved)
    assert compare(OLD, OLD) == Changes()


def test_powers_that_newly_appear_are_pointed_out_with_all_their_places() -> None:
    new = (
        Use("a.py", 1, Power.PROCESSES, "subprocess"),
        Use("b.py", 2, Power.PROCESSES, "subprocess"),
    )

    changes = compare(OLD, replace(OLD, uses=(*new, *OLD.uses)))

    assert changes == Changes(powers=new)
    assert compare(replace(OLD, uses=()), OLD).powers == OLD.uses
    assert compare(OLD, replace(OLD, uses=())) == Changes(lost_powers=OLD.uses)


def test_a_wider_filter_and_a_lower_level_are_changes() -> None:
    wider = replace(OLD.hooks[0], filters=())
    opened = Offer("hooks.py", 9, "sync", "public")

    changes = compare(OLD, replace(OLD, hooks=(wider,), functions=(opened,)))

    assert changes == Changes(
        hooks=(wider,), lost_hooks=OLD.hooks, opened=(opened,), lost_functions=OLD.functions[1:]
    )


def test_everything_is_new_to_nothing() -> None:
    changes = compare(Inspection(), OLD)

    assert (changes.hooks, changes.functions, changes.routes) == (
        OLD.hooks,
        OLD.functions,
        OLD.routes,
    )
    assert (changes.commands, changes.environment) == (OLD.commands, OLD.environment)
    assert (changes.powers, changes.unread) == (OLD.uses, OLD.unread)
    assert compare(OLD, Inspection()).lost_commands == OLD.commands


def test_collections_and_settings_of_its_own_are_found(tmp_path):
    found = inspect(
        tmp_path,
        "from tinybase.extensions import Setting, register_collection as own, register_settings\n"
        "own('orders', {})\n"
        "own(name(), {})\n"
        "@register_settings\n"
        "class Settings:\n"
        "    key = Setting(str, required=True, secret=True, env='PAYMENT_KEY')\n"
        "    currency = Setting(str, default='EUR')\n",
    )

    orders, other = found.collections
    assert orders == OwnCollection("m.py", 2, "orders", fields=())
    assert other == OwnCollection("m.py", 3, None, fields=())
    assert found.settings == (
        OwnSetting("m.py", 6, "key", is_secret=True, is_required=True),
        OwnSetting("m.py", 7, "currency", is_secret=False, is_required=False),
    )
    assert [item.name for item in found.environment] == ["PAYMENT_KEY"]


def test_the_fields_of_its_collections_are_found_where_they_are_written_out(tmp_path):
    found = inspect(
        tmp_path,
        "from tinybase.extensions import register_collection\n"
        "ITEM = {'name': 'item', 'required': True, 'max_length': -1}\n"
        "register_collection('orders', {'fields': [ITEM, {'name': 'n', 'type': 'int', "
        "'unique': True, 'default': 3}]}, guarded=True)\n"
        "register_collection('stock', {'fields': [*FIELDS]})\n"
        "register_collection('odd', {'fields': 'x'})\n",
    )

    orders, stock, odd = found.collections
    assert orders.is_guarded
    assert orders.fields == (
        OwnField("item", "string", is_required=True, more='{"max_length": -1}'),
        OwnField("n", "int", is_unique=True, has_default=True),
    )
    assert (stock.name, stock.fields, stock.is_guarded) == ("stock", None, False)
    assert odd.fields is None


def test_collections_in_the_manifest_are_found_too(tmp_path):
    more = (
        '[[extension.collections]]\nname = "orders"\nguarded = true\n'
        '[[extension.collections]]\nname = "stock"\nfields = [{ name = "n", type = "integer" }]\n'
    )
    write(tmp_path, flat("shop", more=more))

    found = inspect_flat(tmp_path, "shop").collections

    text = (tmp_path / "extension.toml").read_text().splitlines()
    first = text.index("[[extension.collections]]") + 1
    assert found == (
        OwnCollection("extension.toml", first, "orders", fields=(), is_guarded=True),
        OwnCollection("extension.toml", first + 3, "stock", fields=(OwnField("n", "integer"),)),
    )
