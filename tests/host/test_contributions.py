"""What an extension contributes is there as a whole, or not at all."""

from __future__ import annotations

import pytest

METRICS = "tinybase_register_metrics"

CONTRIBUTOR = """
    from prometheus_client import Counter
    from tinybase.extensions import hookimpl
    from tinybase_hookspecs import FunctionDeclaration, MetricDeclaration

    @hookimpl
    def tinybase_register_functions():
        return [FunctionDeclaration("count", lambda: 1)]

    @hookimpl
    def tinybase_register_metrics():
        names = [f"{__name__}_first", f"{__name__}_second"]
        return [MetricDeclaration(Counter(name, "Counted.", registry=None)) for name in names]
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

    declared = host.contributions.by("shop", METRICS)
    names = [metric.name for d in declared for metric in d.collector.collect()]
    assert names == ["shop_first", "shop_second"]
    assert host.contributions.of(METRICS) == [("shop", item) for item in declared]
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


HANGING = """
    import threading
    from tinybase.extensions import hookimpl
    from seen import seen

    @hookimpl
    def tinybase_register_metrics():
        seen.append("asked")
        threading.Event().wait()
"""


def test_an_extension_that_never_says_what_it_brings_is_quarantined_like_a_hanging_import(
    make_host, site, seen
):
    site.add("bad", HANGING)
    site.add("good", CONTRIBUTOR)
    host = make_host(TINYBASE_EXTENSIONS_IMPORT_TIMEOUT_SECONDS="1")

    host.start()

    state = host.extension("bad")
    assert state.status == "quarantined"
    assert f"{METRICS} took longer than 1 s" in state.reason
    assert [owner for owner, _ in host.contributions.of(METRICS)] == ["good", "good"]
    host.set_enabled("good", False)
    assert seen == ["asked"], "it is not asked again"
