"""Collections that an extension declares in its manifest, over HTTP."""

from __future__ import annotations

import pytest

from tinybase.testing import running

CODE = """
    from tinybase.extensions import on_startup
    from seen import seen

    @on_startup
    def start(ctx):
        seen.append([field["name"] for field in ctx.collections.find("orders").schema["fields"]])
"""
MANIFEST = """
    [extension]
    name = "shop"
    version = "1.0"

    [[extension.collections]]
    name = "orders"
    access = { read = "public" }
    fields = [{ name = "item", type = "string", required = true }]
"""
ORDERS = "/api/collections/orders"
EXTENSION = "/api/admin/extensions/shop"


def add(site, code=CODE, manifest=MANIFEST, **meta):
    site.add("shop", code, files={"extension.toml": manifest}, **meta)


@pytest.fixture
def shop(tmp_path, site, seen):
    add(site)
    with running(tmp_path) as tinybase:
        yield tinybase


def test_it_is_there_before_the_extension_starts_and_belongs_to_it(shop, seen):
    assert seen == [["item"]]
    assert shop.get(f"{ORDERS}/records", headers={}).json["records"] == []
    assert shop.post(f"{ORDERS}/records", {}).json["code"] == "record_invalid"
    assert [item.name for item in shop.services.extensions.data.of("shop").collections] == [
        "orders"
    ]


def test_it_stays_when_the_extension_goes_and_a_purge_finds_it_when_the_code_is_gone(shop, site):
    shop.post(f"{ORDERS}/records", {"item": "tea"})

    assert shop.patch(EXTENSION, {"is_enabled": False}).status_code == 200
    assert len(shop.get(f"{ORDERS}/records").json["records"]) == 1

    site.remove("shop")
    shop.services.host.desired.forget("shop")
    shop.services.host.refresh()
    assert shop.get(EXTENSION).status_code == 404
    assert shop.delete(f"{EXTENSION}?purge=true").status_code == 204
    assert shop.get(ORDERS).status_code == 404


def test_a_later_version_adds_the_fields_that_its_manifest_declares(shop, site, seen):
    shop.post(f"{ORDERS}/records", {"item": "tea"})
    site.remove("shop")
    more = MANIFEST.replace("required = true }", 'required = true }, { name = "note" }')
    add(site, CODE + "    # changed\n", more, version="1.1")

    shop.patch(EXTENSION, {"is_enabled": False})
    assert shop.patch(EXTENSION, {"is_enabled": True}).status_code == 200

    assert seen == [["item"], ["item", "note"]]


@pytest.mark.parametrize(
    ("code", "manifest", "told"),
    [
        (
            'from tinybase.extensions import register_collection as own\nown("orders", {})\n',
            MANIFEST,
            "the collection 'orders' is declared in extension.toml already. Delete",
        ),
        (
            "",
            MANIFEST.replace("fields = [", "fields = [{ nam = 1 }, "),
            "the collection 'orders': schema.fields.0.name",
        ),
        ("", MANIFEST.replace("fields =", "field ="), "field: is not a key of a collection."),
    ],
    ids=["also in code", "bad schema", "bad table"],
)
def test_what_cannot_be_makes_the_extension_fail_and_nothing_is_made(
    code, manifest, told, tmp_path, site
):
    add(site, code, manifest)

    with running(tmp_path) as tinybase:
        found = tinybase.get(EXTENSION).json
        assert found["status"] == "failed"
        assert told in found["status_reason"]
        assert tinybase.get(ORDERS).status_code == 404
