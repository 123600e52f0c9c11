"""The measurement: every target gets every load, in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace

from benchmarks.processes import Server
from benchmarks.scenarios import Scenario
from benchmarks.target import Target
from benchmarks.wrk import Outcome, Run, probe

_WARM_UP_SECONDS = 1
_IDLE_SECONDS = 2.0
_STARTS = 3


@dataclass
class Results:
    """What was measured, by target; ``failures`` says what could not be."""

    outcomes: dict[str, dict[Scenario, list[Outcome]]] = field(default_factory=dict)
    cold_start: dict[str, float] = field(default_factory=dict)
    idle_memory: dict[str, int] = field(default_factory=dict)
    loaded_memory: dict[str, int] = field(default_factory=dict)
    disturbed: dict[str, dict[str, Outcome]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def outcome(self, target: str, scenario: Scenario) -> Outcome | None:
        """Return the median of the rounds."""
        found = self.outcomes.get(target, {}).get(scenario)
        if not found:
            return None
        medians = {
            item.name: statistics.median(getattr(each, item.name) for each in found)
            for item in fields(Outcome)
        }
        return replace(found[0], **medians)


class Measurement:
    """One run over some targets and scenarios.

    All servers are up all the time, but those that are not being measured are held.

    :param say: is told what is going on.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        scenarios: Sequence[Scenario],
        *,
        rounds: int,
        seconds: float,
        say: Callable[[str], None],
    ) -> None:
        self._targets = targets
        self._scenarios = scenarios
        self._rounds = rounds
        self._seconds = seconds
        self._say = say
        self.results = Results()

    def run(self) -> Results:
        """Measure everything."""
        for target in self._targets:
            self._say(f"{target.name}: making the data")
            target.prepare()
        with ExitStack() as stack:
            servers = [(target, self._start(target, stack)) for target in self._targets]
            for number in range(self._rounds):
                for scenario in self._scenarios:
                    self._say(f"round {number + 1} of {self._rounds}: {scenario}")
                    for target, server in servers:
                        with server.running():
                            self._try(target, server, scenario, is_first=number == 0)
            for target, server in servers:
                with server.running():
                    self._disturb(target, server)
                    self.results.loaded_memory[target.name] = server.memory()
        return self.results

    def _start(self, target: Target, stack: ExitStack) -> Server:
        self._say(f"{target.name}: starting")
        starts = []
        for _ in range(_STARTS - 1):
            server = target.start()
            starts.append(server.start_seconds)
            server.stop()
        server = target.start()
        stack.callback(server.stop)
        starts.append(server.start_seconds)
        self.results.cold_start[target.name] = statistics.median(starts)
        time.sleep(_IDLE_SECONDS)
        self.results.idle_memory[target.name] = server.memory()
        target.sign_in(server.url)
        server.pause()
        return server

    def _try(self, target: Target, server: Server, scenario: Scenario, *, is_first: bool) -> None:
        try:
            outcome = self._measure(target, server, scenario, is_first=is_first)
        except RuntimeError as error:
            self.results.failures.append(f"{target.name}, {scenario}: {error}")
        else:
            outcomes = self.results.outcomes.setdefault(target.name, {})
            outcomes.setdefault(scenario, []).append(outcome)

    def _measure(
        self, target: Target, server: Server, scenario: Scenario, *, is_first: bool
    ) -> Outcome:
        load = target.load(scenario)
        probe(server.url, load)
        if load.once:
            load = replace(load, paths=load.paths[1:])
        elif is_first:
            Run(server.url, load, _WARM_UP_SECONDS).wait()
        before = target.stored() if scenario is Scenario.CREATE else 0
        cpu = server.cpu_seconds()
        outcome = Run(server.url, load, self._seconds).wait()
        used = server.cpu_seconds() - cpu
        if scenario is Scenario.CREATE:
            _require_stored(target.stored() - before, outcome.requests)
        return replace(outcome, cpu=used / max(1, outcome.requests) * 1e6)

    def _disturb(self, target: Target, server: Server) -> None:
        """Measure reads while the server is busy with what takes long."""
        if Scenario.READ not in self._scenarios:
            return
        load = target.load(Scenario.READ)
        found = self.results.disturbed.setdefault(target.name, {})
        found["nothing else"] = Run(server.url, load, self._seconds).wait()
        for name, disturbance in target.disturbances().items():
            self._say(f"{target.name}: reads beside {name}")
            beside = Run(server.url, disturbance, self._seconds + 1)
            found[name] = Run(server.url, load, self._seconds).wait()
            beside.wait()


def _require_stored(stored: int, acknowledged: int) -> None:
    """Refuse a result whose creates are not in the database.

    There may be more: when the time is over, requests are on their way that nobody counts.
    """
    if stored < acknowledged:
        raise RuntimeError(f"{acknowledged} creates were acknowledged, {stored} are stored.")
