"""What was measured, as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.measure import Results
from benchmarks.scenarios import COLD_START_SECONDS, GOALS, IDLE_MEMORY, Scenario
from benchmarks.wrk import Outcome

_MIB = 2**20


def report(results: Results) -> str:
    """Return all tables, in Markdown."""
    parts = [
        _table("Requests per second (p50 / p99 in ms; server CPU in µs)", _rates(results)),
        _table("Against the goals", _goals(results)),
        _table("Start and memory", _processes(results)),
        _table("Reads by id beside other work: requests per second (p50 / p99)", _reads(results)),
    ]
    parts += [f"Failed: {failure}" for failure in results.failures]
    return "\n\n".join(part for part in parts if part)


def goals_missed(results: Results) -> int:
    """Return how many goals were measured and not reached."""
    return sum(row[-1] == "missed" for row in list(_goals(results))[1:])


def _rates(results: Results) -> Iterator[Sequence[str]]:
    names = list(results.outcomes)
    yield ["", *names]
    for scenario in Scenario:
        cells = [results.outcome(name, scenario) for name in names]
        if any(cells):
            yield [scenario.value, *(_with_cpu(cell) if cell else "–" for cell in cells)]


def _goals(results: Results) -> Iterator[Sequence[str]]:
    yield ["", "target", "against", "ratio", "goal", ""]
    for goal in GOALS:
        mine = results.outcome(goal.target, goal.scenario)
        other = results.outcome(goal.base, goal.scenario)
        if mine is None or other is None:
            continue
        names = [goal.scenario.value, goal.target, goal.base]
        ratio = mine.rate / other.rate
        yield [*names, f"{ratio:.2f}", f"≥ {goal.least}", _verdict(met=ratio >= goal.least)]
        if goal.most is not None:
            ratio = mine.p99 / other.p99
            names[0] += ", p99"
            yield [*names, f"{ratio:.2f}", f"≤ {goal.most}", _verdict(met=ratio <= goal.most)]
    for name, seconds in results.cold_start.items():
        if name.startswith("tinybase"):
            met = _verdict(met=seconds <= COLD_START_SECONDS)
            yield ["cold start", name, "", f"{seconds:.2f} s", f"≤ {COLD_START_SECONDS} s", met]
    for name, memory in results.idle_memory.items():
        if name.startswith("tinybase"):
            met = _verdict(met=memory <= IDLE_MEMORY)
            yield ["idle memory", name, "", _megabytes(memory), f"≤ {_megabytes(IDLE_MEMORY)}", met]


def _processes(results: Results) -> Iterator[Sequence[str]]:
    yield ["", "cold start to first answer", "memory idle (PSS)", "memory after load (PSS)"]
    for name, seconds in results.cold_start.items():
        memory = (results.idle_memory[name], results.loaded_memory.get(name, 0))
        yield [name, f"{seconds:.2f} s", *map(_megabytes, memory)]


def _reads(results: Results) -> Iterator[Sequence[str]]:
    kinds = list(dict.fromkeys(kind for found in results.disturbed.values() for kind in found))
    yield ["", *kinds]
    for name, found in results.disturbed.items():
        yield [name, *(_plain(found[kind]) if kind in found else "–" for kind in kinds)]


def _with_cpu(outcome: Outcome) -> str:
    return f"{_plain(outcome)[:-1]}; {outcome.cpu:.0f})"


def _plain(outcome: Outcome) -> str:
    return f"{outcome.rate:,.0f} ({outcome.p50:.1f} / {outcome.p99:.1f})"


def _verdict(*, met: bool) -> str:
    return "met" if met else "missed"


def _megabytes(size: int) -> str:
    return f"{size / _MIB:.0f} MiB"


def _table(title: str, rows: Iterator[Sequence[str]]) -> str:
    head, *body = rows
    if not body:
        return ""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join([f"## {title}", "", *(f"| {' | '.join(line)} |" for line in lines)])
