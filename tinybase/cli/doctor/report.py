"""The command: asks all checks and shows what they found."""

from __future__ import annotations

from collections import Counter

import click

from tinybase.cli import context
from tinybase.cli.doctor.finding import Finding, Severity
from tinybase.cli.output import counted, emit_json, json_option, note, printable

_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "blue"}
_WORDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note"}
_SEVERITIES = list(Severity)


@click.command("doctor")
@json_option
def command(*, as_json: bool) -> None:
    """Look for everything that is wrong with the instance, and say what to do about it.

    That is the environment, the configuration, the installed files and the lock, the
    database, the access rules, and how the extensions fare. Nothing is changed. The exit
    code is 1 if there is an error; warnings and notes leave it 0.

    \b
    Examples:
      tinybase doctor
      tinybase extensions doctor --json
    """
    # The whole application: it is not needed to print this help.
    from tinybase.cli.doctor.examination import examine  # noqa: PLC0415

    findings = sorted(
        examine(context.instance(), progress=note),
        key=lambda item: _SEVERITIES.index(item.severity),
    )
    if as_json:
        emit_json(findings)
    else:
        _show(findings)
    if any(item.severity is Severity.ERROR for item in findings):
        click.get_current_context().exit(1)


def _show(findings: list[Finding]) -> None:
    for item in findings:
        label = click.style(f"{item.severity:<8}", fg=_COLOURS[item.severity], bold=True)
        click.echo(f"{label} {printable(item.what)}")
        click.echo(f"         at: {printable(item.where)}")
        if item.remedy:
            click.echo(f"         do: {printable(item.remedy)}")
    found = Counter(item.severity for item in findings)
    click.echo(", ".join(counted(found[severity], word) for severity, word in _WORDS.items()) + ".")
