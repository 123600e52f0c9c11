"""``tinybase extensions new``, ``validate`` and ``build``: for authors; no instance is needed."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinybase.cli import context
from tinybase.cli.output import counted, emit_json, json_option, note
from tinybase.packages.environment import HostPackages
from tinybase.packages.git import ask_git
from tinybase.packages.scaffold import LAYOUTS, NewExtension, new_extension

if TYPE_CHECKING:
    from tinybase.packages.validation import Finding, Report

_path_argument = click.argument(
    "path", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path)
)


@click.command("new")
@click.argument("name")
@click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    default="flat",
    show_default=True,
    help="Modules at the top of the repository, or a package with a pyproject.toml.",
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to write it. Default: a new folder with its name.",
)
@click.option("-d", "--description", default="", help="What it does, in a sentence.")
@click.option("--author", help="Who writes it. Default: the name that git has for you.")
@json_option
def new(
    *,
    name: str,
    layout: str,
    folder: Path | None,
    description: str,
    author: str | None,
    as_json: bool,
) -> None:
    """Write an extension that works, to begin with.

    It has a manifest, a handler, a function, tests that pass, a licence (MIT), a README and
    a workflow for GitHub. Nothing that exists is overwritten.

    \b
    Examples:
      tinybase extensions new my-extension
      tinybase extensions new my-extension --layout packaged -d "Thanks people for notes"
    """
    host = HostPackages(context.instance())
    if author is None:
        author = (ask_git(Path.cwd(), "config", "user.name") or "").strip()
    extension = new_extension(name, host, layout=layout, description=description, author=author)
    target = folder or Path(extension.name)
    extension.write(target)
    if as_json:
        emit_json(
            {
                "name": extension.name,
                "package": extension.package,
                "layout": extension.layout,
                "folder": str(target.resolve()),
                "files": list(extension.files),
            }
        )
    for line in _said_of(extension, target):
        note(line)


@click.command("validate")
@_path_argument
@click.option("--strict", is_flag=True, help="Let warnings count as errors.")
@click.option("--read-only", is_flag=True, help="Read the code and do not run it.")
@click.option("--github", is_flag=True, help="Print annotations for a workflow of GitHub.")
@json_option
def validate_command(
    *, path: Path, strict: bool, read_only: bool, github: bool, as_json: bool
) -> None:
    """Find what is wrong with an extension, before anybody installs it.

    PATH is its folder, by default the current one. It is read first: the manifest, entry
    point, handlers that cannot work, undeclared imports, secrets, README, licence and
    version. If that finds no error, it is loaded as install does, in a process of its own,
    which runs its code; --read-only leaves that out. Exit code 1 means that there is an error.

    \b
    Examples:
      tinybase extensions validate
      tinybase extensions validate ./my-extension --strict
      tinybase extensions validate ./from-somebody --read-only
      tinybase extensions validate --github
    """
    if github and as_json:
        raise click.UsageError("Choose one of --github and --json.")
    # They look at the contract through the host, and that brings SQLAlchemy.
    from tinybase.functions.registration import check_declaration  # noqa: PLC0415
    from tinybase.packages.validation import validate  # noqa: PLC0415

    report = validate(path, check_declaration, load=not read_only)
    if as_json:
        emit_json(_as_document(report))
    else:
        write = _annotation if github else _line
        for item in report.findings:
            click.echo(write(item, path))
        note(_summary(report, path))
    if report.errors or (strict and report.warnings):
        click.get_current_context().exit(1)


@click.command("build")
@_path_argument
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="dist",
    show_default=True,
    help="The folder for the wheel.",
)
@json_option
def build(*, path: Path, out: Path, as_json: bool) -> None:
    """Build the wheel that people get when they install the extension.

    PATH is its folder, by default the current one. A flat extension runs no code for that,
    and gives the same bytes every time; a packaged one is built by pip.

    \b
    Examples:
      tinybase extensions build
      tinybase extensions build ./my-extension --out /tmp/wheels --json
    """
    from tinybase.packages.release import build_release  # noqa: PLC0415 - as above

    release = build_release(path.resolve(), out, note)
    if as_json:
        emit_json(release)
        return
    click.echo(f"{release.name} {release.version}")
    click.echo(f"{release.file} ({release.size} bytes)")
    click.echo(f"sha256:{release.sha256}")
    for member in release.contents:
        click.echo(f"  {member}")


def add_to(group: click.Group) -> None:
    """Add the commands for authors to ``tinybase extensions``."""
    for command in (new, validate_command, build):
        group.add_command(command)


def _said_of(extension: NewExtension, folder: Path) -> Iterator[str]:
    yield f"Wrote {extension.name} ({len(extension.files)} files) to {folder}. Next:"
    yield f"  cd {shlex.quote(str(folder))}"
    yield from (f"  {step}" for step in extension.next_steps)
    yield "  tinybase extensions validate"
    yield "To try it in an instance, with edits taken up at the next start:"
    yield f"  tinybase -C INSTANCE extensions install -e {shlex.quote(str(folder.resolve()))}"


def _as_document(report: Report) -> dict[str, object]:
    return {
        "name": report.name,
        "version": report.version,
        "layout": report.layout,
        "errors": report.errors,
        "warnings": report.warnings,
        "findings": list(report.findings),
    }


def _line(item: Finding, path: Path) -> str:
    place = _shown(item, path) + (f":{item.line}" if item.line else "")
    return f"{place}: {item.severity}: {_sentences(item)}"


def _annotation(item: Finding, path: Path) -> str:
    """Write a finding as GitHub shows it beside the line."""
    places = {"file": _shown(item, path), "line": item.line, "title": item.code}
    written = ",".join(
        f"{key}={_escaped(str(value), property_=True)}" for key, value in places.items() if value
    )
    return f"::{item.severity} {written}::{_escaped(_sentences(item))}"


def _sentences(item: Finding) -> str:
    return f"{item.message}. {item.remedy}".rstrip()


def _escaped(text: str, *, property_: bool = False) -> str:
    for character in "%\r\n" + (":," if property_ else ""):
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _shown(item: Finding, path: Path) -> str:
    return os.path.normpath(path / item.file)


def _summary(report: Report, path: Path) -> str:
    what = " ".join(filter(None, (report.name, report.version))) or str(path)
    if not report.findings:
        return f"{what} is fine."
    return f"{what}: {counted(report.errors, 'error')}, {counted(report.warnings, 'warning')}."
