"""``tinybase functions``: server functions."""

from __future__ import annotations

import click

from tinybase.actors import SYSTEM
from tinybase.api.functions import FunctionCallResponse, FunctionInfo
from tinybase.cli import context
from tinybase.cli.documents import json_argument, read_object
from tinybase.cli.output import emit_json, json_option, note, table
from tinybase.errors import TinyBaseError
from tinybase.extensions.routes import LEVELS
from tinybase.functions.scaffold import write_function
from tinybase.host.project import FUNCTIONS_FOLDER


@click.group("functions")
def command() -> None:
    """Write, list and call server functions."""


@command.command("new")
@click.argument("name")
@click.option("-d", "--description", default="", help="What it does, for lists.")
@click.option(
    "--auth",
    type=click.Choice(LEVELS),
    default="auth",
    show_default=True,
    help="Who may call it: everybody, whoever is signed in, or admins.",
)
def new(*, name: str, description: str, auth: str) -> None:
    """Write a function to begin with into the functions folder.

    \b
    Example:
      tinybase functions new send_invoice -d "Send an invoice" --auth admin
    """
    config = context.load_config()
    path = write_function(config.instance / FUNCTIONS_FOLDER, name, description, auth)
    note(f"Wrote {path}. Try it with {context.own_command(f'functions call {name}')}.")


@command.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List all functions, those of extensions included."""
    with context.services(load=True) as services:
        found = FunctionInfo(many=True).dump(services.functions.list(SYSTEM))
    if as_json:
        emit_json(found)
    else:
        columns = ["Name", "Auth", "Extension", "Description"]
        table(found, columns, empty="There are none. Write one: tinybase functions new NAME.")


@command.command("call")
@click.argument("name")
@json_argument
@json_option
def call(*, name: str, document: str | None, as_json: bool) -> None:
    """Call a function as the operator, and print its result as JSON.

    JSON is its payload; - reads it from stdin. With --json the whole outcome is printed.

    \b
    Examples:
      tinybase functions call add '{"a": 1, "b": 2}'
      tinybase functions call add - < payload.json
    """
    with context.services(load=True) as services:
        payload = read_object(document, services.config)
        outcome = services.functions.call(SYSTEM, name, payload)
        owner = services.functions.get(name).extension
    if as_json:
        emit_json(FunctionCallResponse().dump(outcome))
    elif outcome.error_type is None:
        emit_json(outcome.result)
    if outcome.error_type is not None:
        whose = f"{name} of the extension {owner}" if owner else name
        raise TinyBaseError(f"{whose} failed: {outcome.error_type}: {outcome.error_message}")
