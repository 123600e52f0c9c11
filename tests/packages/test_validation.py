"""Validation: each fault is found, with its line and its remedy, and what is sound is not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from github import write

import tinybase.functions
from tinybase.errors import TinyBaseError
from tinybase.functions.registration import check_declaration
from tinybase.functions.table import FunctionTable
from tinybase.host.guard import Surroundings
from tinybase.host.loading import EntryPoint, load_plugin, new_plugin_manager, unload
from tinybase.host.plugin import LoadError, register
from tinybase.packages.environment import HostPackages
from tinybase.packages.scaffold import LAYOUTS, new_extension
from tinybase.packages.validation import Finding, Report, Severity, validate
from tinybase.packages.validation.source import DOORS

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
HEAD = "from tinybase.extensions import *\nfrom tinybase.functions import register\n"


def look(root: Path) -> Report:
    return validate(root, check_declaration)


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Return a new extension in each layout, to be copied."""
    folder = tmp_path_factory.mktemp("new")
    host = HostPackages(folder)
    for layout in LAYOUTS:
        new_extension("my-extension", host, layout=layout).write(folder / layout)
    return {layout: folder / layout for layout in LAYOUTS}


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def root(tmp_path: Path, new: Mapping[str, Path], layout: str) -> Path:
    """Return a sound extension in either layout."""
    folder = tmp_path / "extension"
    shutil.copytree(new[layout], folder)
    return folder


@pytest.fixture
def flat(tmp_path: Path, new: Mapping[str, Path]) -> Path:
    folder = tmp_path / "extension"
    shutil.copytree(new["flat"], folder)
    return folder


def only(report: Report) -> Finding:
    """Return the one finding that there must be."""
    assert len(report.findings) == 1, report.findings
    return report.findings[0]


def hooks_of(root: Path) -> Path:
    return next(path for path in root.rglob("hooks.py"))


def test_a_new_extension_is_sound(root):
    assert look(root).findings == ()


@pytest.mark.parametrize("name", ["tinybase-hello", "tinybase-audit-trail", "tinybase-dashboard"])
def test_the_first_party_extensions_are_sound(name):
    report = look(PLUGINS / name)

    assert (report.name, report.version, report.findings) == (name, "1.0.0", ())


SOUND = [
    "@on_startup\ndef f(): ...",
    "@on_startup()\ndef f(ctx): ...",
    "@on_shutdown(trylast=True)\nasync def f(): ...",
    "@on_record_create\ndef f(event): ...",
    "@on_record_create()\ndef f(anything): ...",
    "@on_record_create(collection=['a', 'b*'])\ndef f(event, ctx): ...",
    "NAME = 'x'\n@on_record_create(collection=NAME)\ndef f(event, *, extra=1): ...",
    "@on_record_create\n@on_record_update(collection=None)\ndef f(event): ...",
    "@on_record_create(**{})\ndef f(event): ...",
    "on_startup(lambda: None)\non_record_create(collection='a')(print)",
    "@register_settings\nclass Settings:\n    key = Setting(str)",
    "class A:\n    @staticmethod\n    @on_startup\n    def f(): ...",
    "class A:\n    @on_startup\n    @staticmethod\n    def f(): ...",
    "class A:\n    def f(self): ...\non_startup(A().f)",
    "def bound(function): return lambda: None\n@on_startup\n@bound\ndef f(a, b, c): ...",
    "@on_function_call(name='x')\ndef f(event):\n    def g():\n        yield\n    list(g())",
    "@hookimpl\ndef tinybase_on_startup(): ...",
    "@hookimpl(specname='tinybase_on_user_login', tryfirst=True)\ndef f(event): ...",
    "@hookimpl(wrapper=True)\ndef tinybase_on_record_create(event):\n    return (yield)",
    "@hookimpl(optionalhook=True)\ndef tinybase_on_something_new(event): ...",
    "class P:\n    @hookimpl\n    def tinybase_on_startup(self): ...",
    "@register('by_position')\ndef f(ctx, payload): ...",
    "@register(name='f', auth='public', tags=['a'])\ndef f(context, data): ...",
    "import pydantic, sqlmodel, json\nfrom . import functions",
    "try:\n    import ujson\nexcept ImportError:\n    ujson = None",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import foreign",
    "import os\nTOKEN = os.environ.get('MY_TOKEN')\ntoken = 'MY_TOKEN'",
    "password = 'changeme'\napi_key = '<your key>'\nsecret: str = ''",
    "def mine(function): return function\n@mine\ndef f(): ...",
]


@pytest.mark.parametrize("code", SOUND)
def test_what_works_is_not_complained_about(flat, code):
    write(flat, {"hooks.py": HEAD + code + "\n"})
    (flat / "tests" / "test_my_extension.py").unlink()

    assert look(flat).findings == ()


WRONG = [
    ("@on_record_create(colection='a')\ndef f(event): ...", 3, "handler", "takes no colection"),
    ("@on_record_create('a')\ndef f(event): ...", 3, "handler", "filter by name"),
    ("@on_record_create(NAME)\ndef f(event): ...\nNAME = 1", 3, "handler", "filter by name"),
    ("on_record_create('a')(print)", 3, "handler", "filter by name"),
    ("@on_record_create(collection=5)\ndef f(event): ...", 3, "handler", "takes a name"),
    ("@on_record_create(collection=[])\ndef f(event): ...", 3, "handler", "takes a name"),
    ("@on_user_login(collection='a')\ndef f(event): ...", 3, "handler", "takes no collection"),
    ("@on_startup(tryfirst=True, trylast=True)\ndef f(): ...", 3, "handler", "both"),
    ("@on_startup(tryfirst=1)\ndef f(): ...", 3, "handler", "True or False"),
    ("@on_record_create\ndef f(event):\n    yield", 3, "handler", "generator"),
    ("@on_record_create\nasync def f(event):\n    yield", 3, "handler", "generator"),
    ("@on_record_create\ndef f(event, other): ...", 3, "handler", "requires other"),
    ("@on_startup\ndef f(event): ...", 3, "handler", "requires event"),
    ("class A:\n    @on_startup\n    def f(self): ...", 4, "handler", "method"),
    ("class A:\n    @on_startup\n    @classmethod\n    def f(cls): ...", 4,
     "handler", "classmethod"),
    ("@on_startup\nclass A: ...", 3, "handler", "class A"),
    ("import tinybase.extensions as t\n@t.on_user_login(x=1)\ndef f(e): ...", 4, "handler", "x"),
    ("from tinybase import extensions\n@extensions.on_user_login(x=1)\ndef f(e): ...", 4,
     "handler", "x"),
    ("from tinybase.extensions import on_startup as go\n@go(x=1)\ndef f(): ...", 4, "handler", "x"),
    ("@on_record_created\ndef f(event): ...", 3, "unknown-decorator", "not defined"),
    ("@unheard_of\ndef f(event): ...", 3, "unknown-decorator", "not defined"),
    ("from tinybase.extensions import on_save", 3, "unknown-decorator", "has no on_save"),
    ("import tinybase.extensions as t\n@t.on_save\ndef f(event): ...", 4, "unknown-decorator",
     "has no on_save"),
    ("from tinybase.functions import regster", 3, "unknown-import", "has no regster"),
    ("@hookimpl\ndef tinybase_on_record_created(event): ...", 3, "unknown-hook", "no hook"),
    ("@hookimpl(specname='on_startup')\ndef f(): ...", 3, "unknown-hook", "no hook"),
    ("import tinybase_hookspecs.markers as m\nh = m.HookimplMarker('tinybase')\n@h\ndef f(): ...",
     5, "unknown-hook", "no hook"),
    ("@hookimpl\ndef tinybase_on_startup(app): ...", 4, "hookimpl", "takes app"),
    ("@hookimpl\ndef tinybase_on_startup():\n    yield", 4, "hookimpl", "generator, so its"),
    ("@hookimpl(wrapper=True)\ndef tinybase_on_startup(): ...", 4, "hookimpl", "without a yield"),
    ("@hookimpl(first=True)\ndef tinybase_on_startup(): ...", 3, "hookimpl", "first"),
    ("@register\ndef f(ctx): ...", 3, "function", "takes a name"),
    ("@register(name='f', level='x')\ndef f(ctx): ...", 3, "function", "takes no level"),
    ("@register(name='f', auth='root')\ndef f(ctx): ...", 3, "function", "auth is"),
    ("@register(name='no good')\ndef f(ctx): ...", 3, "function", "letters, digits"),
    ("@register(name='f')\ndef f(ctx, payload, more): ...", 3, "function", "requires more"),
    ("@register(name='f')\ndef f(ctx):\n    yield", 3, "function", "generator"),
    ("@register(name='my_extension_count')\ndef f(ctx): ...", 3, "function", "already"),
    ("@on_startup\ndef on_startup(): ...\n@on_startup\ndef f(): ...", 4, "shadowed-name", "hides"),
    ("def f(:", 3, "syntax", "invalid syntax"),
    ("import foreign_library", 3, "undeclared-dependency", "imports foreign_library"),
    ("import yaml_not_here.sub", 3, "undeclared-dependency", "imports yaml_not_here"),
    ("key = 'AKIAIOSFODNN7ABCDEFG'", 3, "secret", "access key of AWS"),
    ("k = '-----BEGIN RSA PRIVATE KEY-----'", 3, "secret", "private key"),
    ("db = 'postgresql://ann:hunter22@db/x'", 3, "secret", "address with a password"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "line", "kind", "message"), WRONG, ids=range(len(WRONG)))
def test_what_cannot_work_is_an_error(flat, code, line, kind, message):
    write(flat, {"hooks.py": HEAD + code + "\n"})
    found = only(look(flat))

    assert (found.file, found.line, found.code) == ("hooks.py", line, kind)
    assert found.severity is Severity.ERROR
    assert message in found.message
    assert found.remedy


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("password = 'hunter2-and-more'", "secret"),
        ("connect(api_key='9f8e7d6c5b4a')\nconnect = print", "secret"),
        ("settings = {'client_secret': 's3cr3t-value'}", "secret"),
        ("import flask", "undeclared-dependency"),
        ("def f():\n    import foreign_library", "undeclared-dependency"),
        ("@on_startup\ndef on_startup(): ...", "shadowed-name"),
        ("def tinybase_on_startup(): ...", "hookimpl"),
        ("@on_startup(before=('other', 'My_Extension'))\ndef f(): ...", "order"),
    ],
)
def test_what_is_only_doubtful_is_a_warning(flat, code, kind):
    write(flat, {"hooks.py": HEAD + code + "\n"})

    found = only(look(flat))

    assert (found.severity, found.code) == (Severity.WARNING, kind)


def load(code: str, folder: Path, package: str) -> None:
    """Load an extension as a worker does, with a function that a new one has."""
    count = (
        "from tinybase.functions import register\n@register('my_extension_count')\ndef f(): ...\n"
    )
    write(
        folder / package,
        {
            "__init__.py": "from . import hooks, functions\n",
            "hooks.py": HEAD + code + "\n",
            "functions.py": count,
        },
    )
    manager, table = new_plugin_manager(), FunctionTable()
    plugin = load_plugin("x", [EntryPoint(package)], Surroundings(), 10)
    register(manager, plugin.implementations)
    for declarations in manager.hook.tinybase_register_functions():
        for declaration in declarations:
            table.add("x", declaration)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Return the name of a package that is forgotten when the test is over."""
    name = f"validated_{tmp_path.name}"
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    unload(name)


@pytest.mark.parametrize("code", SOUND, ids=range(len(SOUND)))
def test_a_worker_loads_what_is_not_complained_about(code, tmp_path, package):
    load(code, tmp_path, package)


# What loads all the same, and then never runs, fails when it is called, or is a secret.
LOADS = ("secret", "generator, so", "without a yield")
FAILS = [case[0] for case in WRONG if not any(word in str(case) for word in LOADS)]


@pytest.mark.parametrize("code", FAILS, ids=range(len(FAILS)))
def test_a_worker_does_not_load_what_is_an_error(code, tmp_path, package):
    with pytest.raises((LoadError, TinyBaseError)):
        load(code, tmp_path, package)


def test_validation_knows_what_functions_are_written_with():
    assert sorted(DOORS["tinybase.functions"]) == sorted(tinybase.functions.__all__)


def test_a_secret_is_never_repeated(flat):
    secrets = ["AKIAIOSFODNN7ABCDEFG", "ghp_" + "a1" * 20, "hunter2-and-more"]
    write(flat, {"hooks.py": f"a, b = {secrets[:2]}\npassword = {secrets[2]!r}\n"})
    write(flat, {".env.example": f"KEY={secrets[0]}\n"})

    report = look(flat)

    assert len(report.findings) == 4
    assert not any(secret in str(report) for secret in secrets)


def test_an_accepted_exception_is_not_a_secret(flat):
    write(flat, {"hooks.py": "password = 'hunter2-and-more'  # noqa: S105 - of a test\n"})

    assert look(flat).findings == ()


def test_all_faults_are_reported_at_once_in_both_layouts(root):
    write(root, {str(hooks_of(root)): HEAD + "@on_startup(x=1)\ndef f(): ...\nimport foreign\n"})
    (root / "README.md").unlink()
    (root / "LICENSE").unlink()
    package = hooks_of(root).parent
    entry = (package / "__init__.py").read_text().replace('"0.1.0"', '"0.2.0"')
    (package / "__init__.py").write_text(entry)

    report = look(root)

    assert sorted(item.code for item in report.findings) == [
        "handler", "license", "readme", "undeclared-dependency", "version-mismatch",
    ]  # fmt: skip
    assert (report.errors, report.warnings) == (3, 2)


def test_every_fault_of_the_manifest_has_its_line(flat):
    (flat / "extension.toml").write_text(
        '[extension]\nname = "os"\nversion = "x"\nlicence = "MIT"\n\n'
        '[extension.dependencies]\nrequests = "^1"\n\n[extension.tinybase]\nmin_version = 1\n'
    )

    found = [item for item in look(flat).findings if item.file == "extension.toml"]

    assert [(item.line, item.message.split()[0]) for item in found] == [
        (1, "it"),
        (2, "extension.name"),
        (3, "extension.version"),
        (4, "extension.licence"),
        (7, "extension.dependencies.requests"),
        (10, "extension.tinybase.min_version"),
    ]
    assert all(item.remedy for item in found)


def test_a_faulty_manifest_hides_no_other_fault(flat):
    text = (flat / "extension.toml").read_text()
    (flat / "extension.toml").write_text(
        text.replace("license =", "licence =").replace(">=2", "^2")
    )
    write(flat, {"hooks.py": "import foreign\n"})
    (flat / "__init__.py").write_text("from . import functions, hooks\n__version__ = '7'\n")

    assert sorted(item.code for item in look(flat).findings) == [
        "license", "undeclared-dependency", "unknown-key", "value", "version-mismatch",
    ]  # fmt: skip


def test_toml_that_cannot_be_read_has_its_line(flat):
    (flat / "extension.toml").write_text("[extension]\nname = \n")

    found = look(flat).findings

    assert ("extension.toml", 2) in [(item.file, item.line) for item in found]


def test_an_extension_for_a_newer_tinybase_gets_a_warning(flat):
    text = (flat / "extension.toml").read_text()
    (flat / "extension.toml").write_text(text.replace("0.4.0", "99.0"))

    found = only(look(flat))

    assert (found.severity, found.code) == (Severity.WARNING, "incompatible")


def test_a_module_that_nothing_imports_is_found(root):
    late = hooks_of(root).with_name("late.py")
    late.write_text("from tinybase.extensions import on_startup\n\n@on_startup\ndef f(): ...\n")

    found = only(look(root))

    assert (found.line, found.code) == (3, "never-imported")
    assert found.remedy == "Write in __init__.py: from . import late."


@pytest.mark.parametrize(
    "code",
    [
        "register_collection('notes', {})",
        "register_blueprint(object())",
        "register_metric(object())",
        "@register_settings\nclass Settings: ...",
        "@health_check('disk')\ndef f(): ...",
        "@command\n@staticmethod\ndef f(): ...",
    ],
)
def test_a_module_that_brings_something_else_than_handlers_is_found_too(flat, code):
    write(flat, {"late.py": f"{HEAD}{code}\n"})

    found = only(look(flat))

    assert (found.file, found.line, found.code) == ("late.py", 3, "never-imported")


@pytest.mark.parametrize(
    "line", ["from .late import *", "from . import late", "from my_extension.late import f",
             "import my_extension.late"],
)  # fmt: skip
def test_every_way_to_import_a_module_counts(flat, line):
    write(flat, {"late.py": HEAD + "@on_startup\ndef f(): ...\n"})
    with (flat / "__init__.py").open("a") as file:
        file.write(f"\n{line}\n")

    assert look(flat).findings == ()


def test_an_import_in_a_function_comes_too_late(flat):
    write(flat, {"late.py": HEAD + "@on_startup\ndef f(): ...\n"})
    with (flat / "__init__.py").open("a") as file:
        file.write("\ndef later():\n    from . import late\n")

    assert only(look(flat)).code == "never-imported"


def test_modules_that_are_imported_by_computed_names_are_believed(flat):
    write(flat, {"late.py": HEAD + "@on_startup\ndef f(): ...\n"})
    with (flat / "__init__.py").open("a") as file:
        file.write("\nimport importlib\nimportlib.import_module(f'{__name__}.late')\n")

    assert look(flat).findings == ()


def test_a_handler_may_have_the_name_of_a_decorator_that_is_called_otherwise(flat):
    code = "from tinybase.extensions import on_startup as start\n@start\ndef on_startup(): ...\n"
    write(flat, {"hooks.py": code})

    assert look(flat).findings == ()


def test_a_decorator_is_recognised_through_a_module_of_the_extension(flat):
    write(flat, {"own.py": "from tinybase.extensions import on_startup\n"})
    write(flat, {"hooks.py": "from .own import on_startup\n@on_startup(x=1)\ndef f(): ...\n"})

    assert only(look(flat)).message == "@on_startup takes no x"


@pytest.mark.parametrize(
    ("declared", "imported"),
    [
        ('PyYAML = "*"', "yaml"),
        ('google-cloud-storage = "*"', "google.cloud.storage"),
        ('Flask = "*"', "flask"),
        ('python_dateutil = "*"', "dateutil.parser"),
    ],
)
def test_what_is_declared_may_be_imported(flat, declared, imported):
    with (flat / "extension.toml").open("a") as file:
        file.write(f"{declared}\n")
    write(flat, {"hooks.py": f"import {imported}\n"})

    assert look(flat).findings == ()


def test_an_import_that_an_unknown_package_may_bring_is_only_doubtful(flat):
    with (flat / "extension.toml").open("a") as file:
        file.write('some-unknown-package = "*"\n')
    write(flat, {"hooks.py": "import surprising_name\n"})

    assert only(look(flat)).severity is Severity.WARNING


def test_an_undeclared_import_says_what_to_declare(root):
    hooks_of(root).write_text("import cv2\n")

    assert "opencv-python" in only(look(root)).remedy


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('[project.entry-points."tinybase.extensions"]', "[project.scripts]", "no entry point"),
        ('my-extension = "my_extension"', 'my-extension = "elsewhere"', "package elsewhere"),
        ('my-extension = "my_extension"', 'a = "my_extension.nothing"', "my_extension.nothing"),
        ('my-extension = "my_extension"', 'a = "my_extension:plugin"', "has no plugin"),
        ('my-extension = "my_extension"', 'a = "my_extension"\nb = "other"', "several packages"),
    ],
)
@pytest.mark.parametrize("layout", ["packaged"], indirect=True)
def test_an_entry_point_has_to_lead_somewhere(root, before, after, message):
    text = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(text.replace(before, after))

    found = only(look(root))

    assert (found.code, found.severity) == ("entry-point", Severity.ERROR)
    assert message in found.message


@pytest.mark.parametrize("layout", ["packaged"], indirect=True)
def test_a_package_may_be_below_src_and_the_entry_point_an_object(root):
    (root / "src").mkdir()
    shutil.move(root / "my_extension", root / "src")
    text = (root / "pyproject.toml").read_text()
    new = text.replace('= "my_extension"', '= "my_extension.hooks:start"')
    (root / "pyproject.toml").write_text(new)
    (root / "src" / "my_extension" / "__init__.py").write_text("from my_extension import functions")

    assert look(root).findings == ()


@pytest.mark.parametrize("layout", ["packaged"], indirect=True)
@pytest.mark.parametrize(("package", "code"), [("flask", "shadowed-name"), ("json", "reserved")])
def test_a_package_may_not_have_the_name_of_somebody_elses(root, package, code):
    (root / "my_extension").rename(root / package)
    text = (root / "pyproject.toml").read_text()
    (root / "pyproject.toml").write_text(text.replace('= "my_extension"', f'= "{package}"'))
    (root / package / "__init__.py").write_text("")
    (root / package / "hooks.py").write_text("")
    (root / package / "functions.py").write_text("")

    assert only(look(root)).code == code


def test_a_folder_without_an_extension_says_so(tmp_path):
    found = only(look(tmp_path))

    assert (found.file, found.severity) == ("extension.toml", Severity.ERROR)
    assert "is missing" in found.message


def test_tests_that_pytest_cannot_run_are_found(flat):
    (flat / "tests" / "pytest.ini").unlink()

    assert only(look(flat)).file == "tests/pytest.ini"


@pytest.mark.parametrize(
    ("tag", "expected"), [("v0.1.0", []), ("0.1", []), ("stable", []), ("v0.2.0", ["tag-mismatch"])]
)
def test_a_tag_has_to_be_the_version(root, tag, expected):
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
        subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)

    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message=x")
    git("tag", tag)

    assert [item.code for item in look(root).findings] == expected


def test_what_git_ignores_is_not_published_and_not_looked_at(flat):
    write(flat, {".env": "KEY=AKIAIOSFODNN7ABCDEFG\n"})
    subprocess.run(["git", "init", "--quiet"], cwd=flat, check=True, capture_output=True)

    assert look(flat).findings == ()


def test_nothing_of_the_extension_is_run(flat):
    marker = flat / "ran"
    write(flat, {"hooks.py": f"open({str(marker)!r}, 'w')\n@print\ndef f(): ...\n"})
    before = set(sys.modules)

    look(flat)

    assert not marker.exists()
    assert not any("my_extension" in name for name in set(sys.modules) - before)


ODD_PROJECTS = [
    "project = 5",
    "[project]",
    '[project]\nname = ["a"]\nversion = 1',
    '[project]\nname = "a"\ndynamic = 5',
    '[project]\nname = "a"\nauthors = 5\nlicense = []',
    '[project]\nname = "a"\ndependencies = [5, "x y"]',
    '[project]\nname = "a"\nentry-points = 5',
    '[project]\nname = "a"\n[project.entry-points]\n"tinybase.extensions" = 5',
    '[project]\nname = "a"\n[project.entry-points."tinybase.extensions"]\na = "../x"',
    '[project]\nname = "a"\n[project.entry-points."tinybase.extensions"]\na = ":x"',
    "[project",
    "\0",
]


@pytest.mark.parametrize("text", ODD_PROJECTS, ids=range(len(ODD_PROJECTS)))
def test_an_odd_project_file_is_an_error_and_no_crash(tmp_path, text):
    write(tmp_path, {"pyproject.toml": text, "a/__init__.py": ""})

    assert look(tmp_path).errors


ODD_CODE = [
    ("\0", "syntax"),
    ("@", "syntax"),
    ("from ... import x", None),
    ("@a.b[0](1)\n@(lambda f: f)\ndef f(): ...", None),
    ("@on_startup(*a, **b)\ndef f(): ...", None),
    ("@on_record_create\ndef f(a, /, b=1, *c, d=2, **e): ...", None),
    ("@register(1, 2, 3)\ndef f(): ...", "function"),
    ("@register(name={}, tags={1: 2})\ndef f(): ...", "function"),
    ("@hookimpl(specname=[1])\ndef f(): ...", "hookimpl"),
    ("from .hooks import on_startup\n@on_startup\ndef f(): ...", None),
    ("x = " + "a + " * 900 + "1", None),
    ("pattern = '\\d'", None),
    ("try:\n    import ujson\nexcept* ImportError:\n    pass", None),
]


@pytest.mark.parametrize(("code", "kind"), ODD_CODE, ids=range(len(ODD_CODE)))
def test_odd_code_does_not_crash_it(flat, code, kind):
    write(flat, {"hooks.py": HEAD + code + "\n"})

    assert [item.code for item in look(flat).findings] == ([kind] if kind else [])


def test_a_fault_in_a_collection_of_the_manifest_is_found_in_its_line(flat):
    manifest = flat / "extension.toml"
    lines = manifest.read_text().splitlines()
    tables = ["[[extension.collections]]", 'name = "a"', "[[extension.collections]]", 'nam = "b"']
    manifest.write_text("\n".join([*lines, *tables, ""]))

    found = look(flat).findings

    assert [(item.line, item.code) for item in found if "nam is" in item.message] == [
        (len(lines) + 4, "unknown-key")
    ]


def test_a_collection_in_manifest_and_code_is_one_too_many(root):
    if not (manifest := root / "extension.toml").exists():
        manifest.write_text('[extension]\nname = "my-extension"\nversion = "0.1.0"\n')
    with manifest.open("a") as file:
        file.write('[[extension.collections]]\nname = "orders"\n')
    with hooks_of(root).open("a") as file:
        file.write("from tinybase.extensions import register_collection\n")
        file.write('register_collection("orders", {})\nregister_collection("stock", {})\n')

    found = only(look(root))

    assert (found.file, found.code) == (str(hooks_of(root).relative_to(root)), "collection")
    assert "orders is declared in extension.toml already" in found.message
    assert found.remedy == "Delete the call of register_collection."
