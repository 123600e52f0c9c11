"""The order that manifests declare: kept after an install, and no circle is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from github import Hub, write

from .conftest import Run, flat

LISTENS = """
from tinybase.extensions import on_record_create

@on_record_create
def listen(event): ...
"""


def order(key: str, name: str) -> str:
    return f'[extension.order]\n{key} = ["{name}"]'


def test_a_circle_is_not_installed_until_the_operator_says_which_comes_first(
    run: Run, names: Callable[[], list[str]], hub: Hub, instance: Path, tmp_path: Path
) -> None:
    audit = write(tmp_path / "audit", flat("audit", LISTENS, more=order("after", "shop")))
    shop = hub.repository("shop", flat("shop", LISTENS, more=order("after", "audit")))
    run("install", str(audit), "--editable", "--yes")

    refused = run("install", shop, "--yes", code=1).err

    assert "audit before shop (extension.toml of shop)" in refused
    assert "shop before audit (extension.toml of audit)" in refused
    assert "Traceback" not in refused
    assert names() == ["audit"]

    (instance / "tinybase.toml").write_text('[extensions]\norder = ["shop", "audit", "later"]\n')
    run("install", shop, "--yes")
    assert names() == ["audit", "shop"]

    (instance / "tinybase.toml").write_text("")
    found = {item["code"]: item for item in run("doctor", "--json").json}
    assert found["order_circular"]["severity"] == "warning"
    assert "is not followed" in found["order_circular"]["what"]
    run("disable", "shop")
    assert "do not fit together" in run("enable", "shop", code=1).err
