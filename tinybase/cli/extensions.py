"""``tinybase extensions``: other people's code, installed and switched with one command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinybase.cli import (
    authoring,
    bundling,
    context,
    extension_settings,
    lifecycle,
    operating,
    plan,
)
from tinybase.cli.bundling import bundle_option, install_bundle
from tinybase.cli.extension_settings import given_along, set_option
from tinybase.cli.idle import tell_idle
from tinybase.cli.names import names_argument
from tinybase.cli.output import (
    confirm,
    emit_json,
    has_room,
    json_option,
    note,
    table,
    yes_option,
)
from tinybase.cli.plan import ask, hint_at_folder, show

if TYPE_CHECKING:
    from tinybase.host.metrics import Totals
    from tinybase.packages.extensions import Extensions
    from tinybase.packages.views import InstalledExtension


@click.group("extensions")
def extensions() -> None:
    """Install and manage extensions.

    What is installed is recorded in extensions.lock; the environment of TinyBase itself is
    never changed. A running server notices every change within a second.
    """


@extensions.command("install")
@click.argument("address", required=False)
@yes_option
@bundle_option
@click.option("--ref", help="The tag, branch or full commit of a repository.")
@click.option("-e", "--editable", is_flag=True, help="Import a local folder from where it is.")
@set_option
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@json_option
def install(
    *,
    address: str | None,
    yes: bool,
    bundle: Path | None,
    ref: str | None,
    editable: bool,
    settings: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Install an extension.

    ADDRESS is a repository on GitHub, a local folder, a wheel, or the name of a package.
    Without a ref a repository gives its newest release, else its default branch. For a
    private repository set TINYBASE_GIT_TOKEN. Before anything is changed you see what will
    be, and are asked.

    On a machine without a network --from-bundle takes the place of ADDRESS. All that is
    installed is then what the bundle contains.

    \b
    Examples:
      tinybase extensions install https://github.com/user/tinybase-extension
      tinybase extensions install user/tinybase-extension@v1.2.0
      tinybase extensions install https://github.com/user/many#subdirectory=one
      tinybase extensions install --editable ./my-extension
      tinybase extensions install "tinybase-extension>=1,<2" --yes
      tinybase extensions install user/payments --set currency=EUR --set api_key
      tinybase extensions install --from-bundle extensions.zip
    """
    if bundle is not None:
        if address is not None or ref is not None or editable or settings:
            raise click.UsageError(
                "--from-bundle takes no address, no --ref, no --editable and no --set."
            )
        install_bundle(bundle, yes=yes, dry_run=dry_run, as_json=as_json)
        return
    if address is None:
        raise click.UsageError("Missing argument 'ADDRESS'.")
    with _service() as service, hint_at_folder(address):
        if dry_run:
            show(service.plan(address, ref=ref, editable=editable), as_json=as_json)
            return
        installed = service.install(
            address,
            ref=ref,
            editable=editable,
            given=given_along(settings),
            confirm=partial(ask, yes=yes),
            progress=note,
        )
    if as_json:
        emit_json(installed)
    else:
        click.echo(_said_of(installed))
    tell_idle([installed])


@extensions.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List all extensions, with the reason for each that does not run.

    \b
    Examples:
      tinybase extensions list
      tinybase extensions list --json
    """
    with _service() as service:
        found, totals = service.list(), service.totals()
    if as_json:
        emit_json(found)
        return
    counted = ["Hooks", "Functions", "Calls", "Errors"] if has_room() else []
    table(
        [_row(item, totals.get(item.name)) for item in found],
        ["Name", "Version", "Status", "Source", *counted, "Reason"],
        empty="There are no extensions. Install one: tinybase extensions install ADDRESS.",
    )
    if newer := [item.name for item in found if item.update_available]:
        note(f"There is something newer of {', '.join(newer)}: tinybase extensions check-updates.")


@extensions.command("enable")
@names_argument
@json_option
def enable(*, names: tuple[str, ...], as_json: bool) -> None:
    """Switch extensions on, in every running worker.

    \b
    Example:
      tinybase extensions enable my-extension
    """
    _switch(names, enabled=True, as_json=as_json)


@extensions.command("disable")
@names_argument
@json_option
def disable(*, names: tuple[str, ...], as_json: bool) -> None:
    """Switch extensions off, in every running worker. They stay installed.

    \b
    Example:
      tinybase extensions disable my-extension
    """
    _switch(names, enabled=False, as_json=as_json)


@extensions.command("uninstall")
@names_argument
@yes_option
@click.option("--purge", is_flag=True, help="Also drop its collections and settings.")
@json_option
def uninstall(*, names: tuple[str, ...], yes: bool, purge: bool, as_json: bool) -> None:
    """Remove extensions, and the packages that only they needed.

    Their data stays: the collections that belong to them, and the settings that were set. With
    --purge it is deleted, also later, when an extension itself is gone.

    \b
    Examples:
      tinybase extensions uninstall my-extension
      tinybase extensions uninstall my-extension --purge
    """
    with _service() as service:
        removed = [service.known_name(name, is_gone_too=purge) for name in names]
        data = {name: service.data.of(name) for name in removed}
        lost = "; ".join(f"of {name}: {kept}" for name, kept in data.items() if kept)
        warning = f" This deletes, {lost}." if purge and lost else ""
        confirm(f"Uninstall {', '.join(removed)}?{warning}", yes=yes)
        for name in removed:
            service.uninstall(name, purge=purge)
            note(f"Uninstalled {name}.")
            if data[name] and not purge:
                again = context.own_command(f"extensions uninstall {name} --purge")
                note(f"Its data stays: {data[name]}. To delete it: {again}.")
                _tell_closed(service, name)
    if as_json:
        emit_json(removed)


authoring.add_to(extensions)
operating.add_to(extensions)
lifecycle.add_to(extensions)
bundling.add_to(extensions)
plan.add_to(extensions)
extensions.add_command(extension_settings.config)

command = extensions


@contextmanager
def _service() -> Iterator[Extensions]:
    with context.services() as services:
        yield services.extensions


def _row(item: InstalledExtension, total: Totals | None) -> dict[str, object]:
    return {
        **asdict(item),
        "hooks": len(item.hooks),
        "functions": len(item.functions),
        "calls": total.calls if total else 0,
        "errors": total.errors if total else 0,
        "reason": item.status_reason,
    }


def _switch(names: tuple[str, ...], *, enabled: bool, as_json: bool) -> None:
    with _service() as service:
        switched = []
        for name in names:
            switched.append(service.set_enabled(name, enabled))
            note(f"{'Enabled' if enabled else 'Disabled'} {switched[-1].name}.")
            tell_idle(switched[-1:])
            if not enabled:
                _tell_closed(service, switched[-1].name)
    if as_json:
        emit_json(switched)


def _tell_closed(service: Extensions, name: str) -> None:
    """Say what nobody but admins reaches as long as an extension does not run."""
    closed = [item.name for item in service.data.of(name).collections if item.is_guarded]
    if closed:
        note(f"Only admins reach the records of {', '.join(closed)} now: {name} guards them.")


def _said_of(installed: InstalledExtension) -> str:
    parts = [f"Installed {installed.name} {installed.version}"]
    if installed.commit:
        parts.append(f"({installed.ref}, {installed.commit[:12]})")
    said = " ".join(parts) + "."
    if not installed.is_enabled:
        again = context.own_command(f"extensions enable {installed.name}")
        said += f" It is switched off, as it was before; switch it on with {again}."
    return said
