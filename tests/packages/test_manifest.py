"""``extension.toml``: strict, and everything that is wrong at once."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tinybase.errors import Invalid
from tinybase.packages import manifest

GOOD = '[extension]\nname = "my-extension"\nversion = "1.0.0"\n'


def read(text: str) -> manifest.Manifest:
    return manifest.parse(tomllib.loads(text))


def faults(text: str) -> str:
    with pytest.raises(Invalid) as refused:
        manifest.check_runs_here(read(text))
    assert refused.value.code == "manifest_invalid"
    assert all(fault.msg.endswith(".") for fault in refused.value.faults)
    return refused.value.detail


def test_the_manifest_of_the_guide_is_understood() -> None:
    found = read(
        GOOD + 'description = "My awesome TinyBase extension"\nauthor = "Your Name"\n'
        'license = "MIT"\n[extension.tinybase]\nmin_version = "0.3.0"\n'
        '[extension.dependencies]\nrequests = ">=2.28.0"\n'
    )

    assert (found.name, found.package, found.version) == ("my-extension", "my_extension", "1.0.0")
    assert found.author == "Your Name"
    assert found.is_license_expression
    assert str(found.tinybase) == ">=0.3.0.dev0"
    assert list(map(str, found.dependencies)) == ["requests>=2.28.0"]


@pytest.mark.parametrize("name", ["My-Ext", "my_ext", "my.ext", "MY--EXT", "my-.ext"])
def test_all_spellings_of_a_name_are_one_extension(name: str) -> None:
    assert read(GOOD.replace("my-extension", name)).name == "my-ext"


@pytest.mark.parametrize(("given", "normal"), [("v1.2.0", "1.2.0"), ("1.0.0-rc.1", "1.0.0rc1")])
def test_a_version_is_brought_into_its_normal_form(given: str, normal: str) -> None:
    assert read(GOOD.replace("1.0.0", given)).version == normal


@pytest.mark.parametrize(
    ("line", "requirement"),
    [
        ('x = "*"', "x"),
        ('x = ""', "x"),
        ('x = "1.2"', "x==1.2"),
        ('x = ">=1,<2"', "x<2,>=1"),
        ('x = "~=1.4"', "x~=1.4"),
        ('x = { version = ">=1", extras = ["b", "a"] }', "x[a,b]>=1"),
        ('x = { version = "*", markers = "python_version > \'3\'" }', 'x; python_version > "3"'),
    ],
)
def test_a_dependency_becomes_a_requirement(line: str, requirement: str) -> None:
    (found,) = read(f"{GOOD}[extension.dependencies]\n{line}").dependencies

    assert str(found) == requirement


def test_dependencies_may_be_a_list_of_requirements() -> None:
    found = read(GOOD + 'dependencies = ["requests>=2", "six"]')

    assert list(map(str, found.dependencies)) == ["requests>=2", "six"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "extension: is missing"),
        ("extension = 1", "extension: is a table"),
        ("[extension]", "extension.name: is missing"),
        ("[extension]", "extension.version: is missing"),
        (GOOD + "[other]\n", "other: is not a key"),
        (GOOD + "dependancies = []", "Did you mean dependencies"),
        (GOOD.replace('"1.0.0"', "1.0"), "extension.version: is a text"),
        (GOOD.replace('"1.0.0"', '""'), "extension.version: is empty"),
        (GOOD.replace("1.0.0", "latest"), "extension.version: is no version"),
        (GOOD.replace("1.0.0", "1.0-foo"), "extension.version: is no version"),
        (GOOD.replace("1.0.0", "1.0+local"), "local part"),
        (GOOD.replace('"my-extension"', "7"), "extension.name: is a text"),
        (GOOD.replace("my-extension", "../x"), "extension.name"),
        (GOOD.replace("my-extension", "-x"), "extension.name"),
        (GOOD.replace("my-extension", "a b"), "extension.name"),
        (GOOD.replace("my-extension", "my-extensiоn"), "extension.name"),
        (GOOD.replace("my-extension", "x" * 300), "extension.name"),
        (GOOD.replace("my-extension", "3d-tools"), "cannot import"),
        (GOOD.replace("my-extension", "class"), "keyword class"),
        (GOOD.replace("my-extension", "json"), "reserved"),
        (GOOD.replace("my-extension", "TinyBase"), "reserved"),
        (GOOD.replace("my-extension", "tinybase-hookspecs"), "reserved"),
        (GOOD + 'description = "a\\nRequires-Dist: evil"', "description: is one line"),
        (GOOD + "author = ['Ann']", "extension.author: is a text"),
        (GOOD + 'homepage = "javascript:alert(1)"', "begins with https://"),
        (GOOD + 'keywords = "a"', "list of words"),
        (GOOD + 'python = "3.11"', "is not a range"),
        (GOOD + 'python = "new"', "is no version"),
        (GOOD + 'python = ">=99"', "needs Python >=99"),
        (GOOD + 'tinybase = "0.4"', "extension.tinybase: is a table"),
        (GOOD + "[extension.tinybase]\nmin_version = 0.3", "min_version: is a text"),
        (GOOD + '[extension.tinybase]\nmin_version = "new"', "min_version: is no version"),
        (GOOD + '[extension.tinybase]\nmin_version = ""', "min_version: is empty"),
        (GOOD + '[extension.tinybase]\nminversion = "1"', "Did you mean min_version"),
        (GOOD + '[extension.tinybase]\nmin_version = "99.0"', "needs TinyBase >=99.0"),
        (GOOD + '[extension.tinybase]\nmax_version = "0.3.*"', "max_version: needs TinyBase"),
        (
            GOOD + '[extension.tinybase]\nmin_version = "2"\nmax_version = "1"',
            "below min_version 2",
        ),
        (GOOD + '[extension.dependencies]\nx = "^1.2"', "uses ^"),
        (GOOD + '[extension.dependencies]\nx = "~1.2"', "uses ~"),
        (GOOD + '[extension.dependencies]\nx = "=1.0"', "no version range"),
        (GOOD + '[extension.dependencies]\nx = "--index-url https://e"', "no version range"),
        (GOOD + "[extension.dependencies]\nx = 1", "is a version range"),
        (GOOD + '[extension.dependencies]\n"-r x" = "*"', "no dependency that pip knows"),
        (GOOD + '[extension.dependencies]\nx = {url = "https://e/x.whl"}', "from an address"),
        (GOOD + '[extension.dependencies]\nx = {git = "https://e/x"}', "from an address"),
        (GOOD + 'dependencies = ["x @ https://e/x.whl"]', "from an address"),
        (GOOD + '[extension.dependencies]\nx = {extras = "a"}', "has extras"),
        (GOOD + '[extension.dependencies]\nx = {vresion = "1"}', "Did you mean version"),
        (GOOD + 'dependencies = ["x\\ny"]', "no dependency that pip knows"),
        (GOOD + "dependencies = 1", "extension.dependencies: is a table"),
        (GOOD + '[extension.dependencies]\n"a.b" = "*"\na-b = "*"', "same package"),
        (GOOD + '[extension.dependencies]\nmy_extension = "*"', "the extension itself"),
        (GOOD + '[extension.dependencies]\ntinybase = ">=0.4"', "is the host"),
    ],
)
def test_a_fault_is_named_with_its_remedy(text: str, told: str) -> None:
    assert told in faults(text)


def test_all_faults_are_told_at_once() -> None:
    told = faults('[extension]\nname = "class"\nversion = 1\nlicence = "MIT"\npython = "x"')

    for key in ("name", "version", "licence", "python"):
        assert f"extension.toml.extension.{key}: " in told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"[extension", "not valid TOML"),
        (b'name = "a"\nname = "b"', "not valid TOML"),
        (b'name = "a\x00b"', "not valid TOML"),
        (b"\xff\xfe", "not UTF-8"),
        (b"x = " + b"[" * 20_000, "TOML|nested"),
        (b"#" * 70_000, "larger than"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "extension.toml").write_bytes(content)

    with pytest.raises(Invalid, match=told):
        manifest.read(tmp_path)


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"extension.toml: is missing"):
        manifest.read(tmp_path)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "extension.toml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())

    assert manifest.read(tmp_path).name == "my-extension"


def test_a_development_version_of_the_host_may_try_what_is_made_for_the_release() -> None:
    wanted = read(GOOD + '[extension.tinybase]\nmin_version = "0.5.0"').tinybase

    assert wanted.contains("0.5.0.dev3", prereleases=True)
    assert not wanted.contains("0.4.9", prereleases=True)


def test_an_order_is_understood_by_any_spelling_of_the_names() -> None:
    found = read(GOOD + '[extension.order]\nbefore = ["Audit_Trail"]\nafter = "shop"\n')

    assert (found.order.before, found.order.after) == (("audit-trail",), ("shop",))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('befor = ["a"]', "Did you mean before"),
        ("before = [1]", "is a list of names of extensions"),
        ('after = ["*"]', "is a list of names of extensions"),
        ('before = ["My_Extension"]', "the extension itself"),
        ('before = ["a"]\nafter = ["A"]', "names a, and so does before"),
    ],
)
def test_an_order_that_means_nothing_is_refused(line: str, message: str) -> None:
    assert message in faults(f"{GOOD}[extension.order]\n{line}\n")


ORDERS = '[[extension.collections]]\nname = "orders"\n'


def test_collections_are_declared_as_in_code() -> None:
    text = ORDERS + 'guarded = true\naccess = { read = "auth" }\n'
    text += 'options = { unknown_fields = "drop" }\nfields = [{ name = "item", unique = true }]\n'

    (found,) = read(GOOD + text + '[[extension.collections]]\nname = "stock"\n').collections[:1]

    assert (found.name, found.guarded) == ("orders", True)
    assert found.schema == {"fields": [{"name": "item", "unique": True}]}
    assert found.options == {"unknown_fields": "drop", "access": {"read": "auth"}}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[extension.collections]\nname = "a"\n', "collections: is a list of tables. Write [["),
        (ORDERS + "gaurded = true\n", "0.gaurded: is not a key of a collection. Did you mean gu"),
        (ORDERS + 'guarded = "yes"\n', "0.guarded: is true or false. Write guarded = true."),
        (ORDERS + 'access = "auth"\n', "0.access: is a table of rules. Write access"),
        (ORDERS + "options = { access = 1 }\n", "0.options.access: is a table of rules."),
        ("[[extension.collections]]\nfields = []\n", "0.name: is missing. Write [[ext"),
        (ORDERS + ORDERS, "1.name: is orders again. Keep one"),
        (ORDERS + 'fields = [{ name = "d", default = 2024-01-01 }]\n', "in quotes."),
        (ORDERS + 'fields = [{ name = "d", default = nan }]\n', "fields.0.default: has no equal"),
        (
            ORDERS + 'fields = [{ name = "a" }, { name = "b", type = "sting" }]\n',
            "extension.toml.extension.collections.0.fields.1.type: in orders: ",
        ),
        (ORDERS + 'access = { read = "me" }\n', "0.access.read: in orders: Not a rule."),
        (ORDERS + "options = { x = 1 }\n", "0.options.x: in orders: Not an option."),
        (ORDERS.replace("orders", "Orders"), "0.name: in Orders: A name has a-z"),
    ],
)
def test_a_collection_that_could_not_be_made_is_refused_with_its_table(
    text: str, told: str
) -> None:
    assert told in faults(GOOD + text)
