"""The addresses of extensions, while an extension is there and while it is not."""

from __future__ import annotations

import pytest

from tinybase.host import ExtensionState


@pytest.fixture
def _extensions(services):
    for status in ("enabled", "disabled", "failed", "quarantined", "missing"):
        name = f"the-{status}"
        services.host.snapshot.states[name] = ExtensionState(
            name, "1.0", status, "because of /secret/path", managed=True
        )


@pytest.mark.usefixtures("_extensions")
@pytest.mark.parametrize("status", ["disabled", "failed", "quarantined"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_an_extension_that_does_not_run_is_unavailable(client, status, method):
    answer = client.open(f"/api/ext/The_{status}/log", method=method)

    assert answer.status_code == 503
    assert answer.json["code"] == "extension_unavailable"
    assert answer.json["extension"] == f"the-{status}"
    assert "secret" not in answer.text


@pytest.mark.usefixtures("_extensions")
@pytest.mark.parametrize("path", ["the-enabled/log", "the-missing", "unknown/a/b", "%00", "a/../b"])
def test_an_address_that_nobody_has_is_not_found(client, path):
    answer = client.get(f"/api/ext/{path}")

    assert answer.status_code == 404
    assert answer.json["code"] == "not_found"
