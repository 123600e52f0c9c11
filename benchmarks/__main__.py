"""``python -m benchmarks``."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from benchmarks import wrk
from benchmarks.measure import Measurement, Results
from benchmarks.plot import svg
from benchmarks.pocketbase import PocketBase
from benchmarks.report import goals_missed, report
from benchmarks.scenarios import Scenario
from benchmarks.target import Size, Target
from benchmarks.tinybase import TinyBase

_SMALL, _LARGE = 10_000, 1_000_000
_DELETES_PER_SECOND = 6_000
_SCENARIOS = {scenario.name.lower().replace("_", "-"): scenario for scenario in Scenario}


@click.command()
@click.option("--quick", is_flag=True, help="One short round over 10,000 records.")
@click.option("--records", default=100_000, show_default=True, help="Records of a collection.")
@click.option("--rounds", default=3, show_default=True, help="How often each is measured.")
@click.option("--seconds", default=6.0, show_default=True, help="How long, each time.")
@click.option(
    "--only",
    type=click.Choice(list(_SCENARIOS)),
    multiple=True,
    help="Only this work; may be repeated. Default: all of it.",
)
@click.option(
    "--target",
    "wanted",
    metavar="NAME",
    multiple=True,
    help="Only this target, as the table names it; may be repeated.",
)
@click.option("--large", is_flag=True, help="Also compare 10,000 with 1,000,000 records.")
@click.option("--postgres", metavar="URL", help="Also measure on this empty PostgreSQL database.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder for results.json, report.md and plot.svg. Default: a new one.",
)
def main(
    *,
    quick: bool,
    records: int,
    rounds: int,
    seconds: float,
    only: Sequence[str],
    wanted: Sequence[str],
    large: bool,
    postgres: str | None,
    output: Path | None,
) -> None:
    """Measure TinyBase side by side with PocketBase on this machine.

    \b
    Examples:
      python -m benchmarks --quick
      python -m benchmarks --only read --only create --target tinybase --target pocketbase
      python -m benchmarks --large --output results
    """
    if quick:
        records, rounds, seconds = min(records, _SMALL), 1, min(seconds, 2.0)
    size = Size(records, round(_DELETES_PER_SECOND * seconds), rounds)
    scenarios = [_SCENARIOS[name] for name in only] or list(Scenario)
    folder = output or Path(tempfile.mkdtemp(prefix="tinybase-benchmarks-"))
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tinybase-bench-") as data:
        try:
            wrk.require()
            targets = list(_targets(Path(data), size, wanted, large=large, postgres=postgres))
            if not targets:
                raise click.UsageError(f"There is no target {wanted[0]!r}.")
            measurement = Measurement(targets, scenarios, rounds=rounds, seconds=seconds, say=_say)
            results = measurement.run()
        except RuntimeError as error:
            raise click.ClickException(str(error)) from error
    _write(folder, results)
    click.echo(report(results))
    _say(f"Written to {folder}; {goals_missed(results)} goals missed.")
    if results.failures:
        raise SystemExit(1)


def _targets(
    folder: Path, size: Size, wanted: Sequence[str], *, large: bool, postgres: str | None
) -> Iterator[Target]:
    """Yield the targets of a run; each has a folder of its own."""

    def tinybase(name: str, size: Size = size, **options: Any) -> TinyBase | None:
        return TinyBase(name, folder / name, size=size, **options) if is_wanted(name) else None

    def is_wanted(name: str) -> bool:
        return not wanted or name in wanted

    found = [
        tinybase("tinybase"),
        tinybase("tinybase full", durability="full"),
        PocketBase(folder / "pocketbase", size=size) if is_wanted("pocketbase") else None,
        tinybase("tinybase 1 handler", matching=1),
        tinybase("tinybase 100 handlers", others=100),
    ]
    if postgres:
        found.append(tinybase("tinybase postgres", database=postgres))
    if large:
        found += [
            tinybase("tinybase small", Size(_SMALL, size.victims, size.rounds)),
            tinybase("tinybase large", Size(_LARGE, size.victims, size.rounds)),
        ]
    yield from (target for target in found if target is not None)


def _write(folder: Path, results: Results) -> None:
    (folder / "report.md").write_text(report(results) + "\n")
    (folder / "results.json").write_text(json.dumps(asdict(results), indent=2) + "\n")
    drawing = svg(results)
    if drawing:
        (folder / "plot.svg").write_text(drawing)


def _say(text: str) -> None:
    click.echo(text, err=True)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
