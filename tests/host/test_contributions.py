"""What an extension contributes is there as a whole, or not at all."""

from __future__ import annotations

import pytest

METRICS = "tinybase_register_metrics"

CONTRIBUTOR = """
    from tinybase.extensions import hookimpl
    from tinybase_hookspecs import FunctionDeclaration, MetricDeclaration

    @hookimpl
    def tinybase_register_functions():
        return [FunctionDeclaration("count", lambda: 1)]

    @hookimpl
    def tinybase_register_metrics():
        return [MetricDeclaration("first"), MetricDeclaration("second")]
"""

ANOTHER = """
    @hookimpl(specname="tinybase_register_metrics")
    def another():
        {body}
"""

BAD = {
    "nothing that is a list": ("return 3", "type int and not a list. Return a list of Metric"),
    "a text": ("return 'metrics'", "type str and not a list"),
    "a list of something else": ("return [object()]", "type object in it. Return a list of"),
    "an exception": ("raise RuntimeError('no\\nway')", "RuntimeError: no way"),
    "the end of the process": ("raise SystemExit(3)", "SystemExit: 3"),
}


def test_contributions_come_and_go_with_their_extension(host, site):
    site.add("shop", CONTRIBUTOR)
    host.start()
    kept = host.snapshot

    assert [(o, d.collector) for o, d in host.contributions.of(METRICS)] == [
        ("shop", "first"),
        ("shop", "second"),
    ]
    assert [d.collector for d in host.contributions.by("shop", METRICS)] == ["first", "second"]
    host.set_enabled("shop", False)
    assert host.contributions.of(METRICS) == []
    assert len(kept.contributions.of(METRICS)) == 2, "a request in flight keeps what it had"


@pytest.mark.parametrize("case", BAD)
def test_a_bad_contribution_fails_its_extension_as_a_whole_and_names_the_hook(case, host, site):
    body, words = BAD[case]
    site.add("good", CONTRIBUTOR.replace("count", "good"))
    site.add(
        "bad",
        CONTRIBUTOR
        + f"\n    @hookimpl(specname='{METRICS}')\n    def another():\n        {body}\n",
    )

    host.start()

    state = host.extension("bad")
    assert state.status == "failed"
    assert state.reason.startswith(f"{METRICS}: ")
    assert words in state.reason
    assert host.functions.names("bad") == []
    assert {owner for owner, _ in host.contributions.of(METRICS)} == {"good"}
