"""``tinybase extensions config``: the settings that extensions declare."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from tinybase.cli import context
from tinybase.cli.names import name_argument
from tinybase.cli.output import can_ask, emit_json, json_option, note, table

if TYPE_CHECKING:
    from tinybase.packages.configuration import ExtensionConfig, Given, SettingView

_REDACTED = "(redacted)"


@click.command("config")
@name_argument
@click.argument("changes", metavar="[KEY[=VALUE]...]", nargs=-1)
@click.option("--unset", multiple=True, metavar="KEY", help="Take back a value that was set here.")
@json_option
def config(*, name: str, changes: tuple[str, ...], unset: tuple[str, ...], as_json: bool) -> None:
    """Show the settings of an extension, or change some of them.

    A KEY without a value is asked for, and read from stdin where nobody can be asked: that is
    how a secret is set. A list is written with commas. What is set here is kept in the database
    and wins over the environment and tinybase.toml; every running worker has it within a second.

    \b
    Examples:
      tinybase extensions config payments
      tinybase extensions config payments currency=EUR retries=5
      tinybase extensions config payments api_key
      pass show payments | tinybase extensions config payments api_key
      tinybase extensions config payments --unset currency
    """
    with context.services() as services:
        settings = services.extensions.configuration.of(name)
        found = settings.view()
        if changes or unset:
            texts = _read(changes, found.settings)
            settings.update(settings.parse(texts) | dict.fromkeys(unset))
            found = settings.view()
            note(f"Changed {', '.join(dict.fromkeys([*texts, *unset]))} of {found.extension}.")
    if as_json:
        emit_json(found)
    else:
        _show(found)


set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY[=VALUE]",
    help="Set a setting in the same step; a KEY alone is asked for.",
)


def given_along(settings: Sequence[str]) -> Given:
    """Return what ``--set`` gives, asking for what has no value: it may be a secret."""
    # With SQLAlchemy, which whoever installs or updates needs anyway.
    from tinybase.packages.configuration import Given  # noqa: PLC0415

    texts, shown = {}, set()
    for setting in settings:
        key, is_given, text = setting.partition("=")
        texts[key] = text if is_given else _ask(key, is_secret=True)
        if is_given:
            shown.add(key)
    return Given(texts, frozenset(shown))


def _read(changes: Sequence[str], settings: Sequence[SettingView]) -> Mapping[str, str]:
    """Return the values that were typed, asking for those that are missing."""
    secrets = {setting.name for setting in settings if setting.secret}
    texts = {}
    for change in changes:
        key, is_given, text = change.partition("=")
        if is_given and key in secrets:
            raise click.UsageError(
                f"{key} is a secret, and others could see it in the list of processes. Write "
                f"{key} without a value: it is asked for, or read from stdin."
            )
        texts[key] = text if is_given else _ask(key, is_secret=key in secrets)
    return texts


def _ask(key: str, *, is_secret: bool) -> str:
    if can_ask():
        answer: str = click.prompt(key, hide_input=is_secret, err=True)
        return answer
    text = sys.stdin.readline().rstrip("\r\n")
    if not text:
        raise click.UsageError(f"{key} has no value. Write {key}=VALUE, or pipe the value in.")
    return text


def _show(found: ExtensionConfig) -> None:
    rows = [
        {
            **asdict(item),
            "value": _REDACTED if item.secret and item.is_set else item.value,
            "needs": _needs(item),
        }
        for item in found.settings
    ]
    columns = ["Name", "Value", "Source", "Type", "Needs", "Description"]
    table(rows, columns, empty=f"{found.extension} has no settings.")
    if found.status == "needs_config":
        note(f"{found.extension} does not run: {found.status_reason}.")


def _needs(item: SettingView) -> str:
    """Say what is special about the values of a setting."""
    words = [word for word in ("required", "secret") if getattr(item, word)]
    if item.min is not None:
        words.append(f"at least {item.min}")
    if item.max is not None:
        words.append(f"at most {item.max}")
    if item.choices:
        words.append(f"one of {', '.join(map(str, item.choices))}")
    return ", ".join(words)
