"""``tinybase admin``: people who may do everything."""

from __future__ import annotations

import click

from tinybase.cli import context
from tinybase.cli.credentials import ask
from tinybase.cli.output import note
from tinybase.errors import NotFound


@click.group("admin")
def command() -> None:
    """Add administrators."""


@command.command("add")
@click.argument("email")
@click.option(
    "--password",
    envvar="TINYBASE_ADMIN_PASSWORD",
    help="Their password (or TINYBASE_ADMIN_PASSWORD). Default: asked for.",
)
def add(*, email: str, password: str | None) -> None:
    """Make an admin, or make an admin of the user EMAIL.

    A user that exists keeps the password unless --password gives another one, so this also
    lets an admin in again who has forgotten theirs.
    """
    with context.services(load=True) as services:
        try:
            known = services.users.find(email)
        except NotFound:
            asked = ask(email, password)
            services.users.create(asked.email, asked.password, is_admin=True)
            note(f"Made the admin {email}.")
        else:
            services.users.update(known.id, is_admin=True, is_active=True, password=password)
            kept = "keeps the password" if password is None else "has a new password"
            note(f"{known.email} is an admin now and {kept}.")
