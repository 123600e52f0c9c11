"""What an admin signs in with, given or asked for."""

from __future__ import annotations

from dataclasses import dataclass

import click

from tinybase.cli.output import can_ask
from tinybase.errors import BadRequest


@dataclass(frozen=True)
class Credentials:
    """An e-mail address and a password, neither checked yet."""

    email: str
    password: str


def ask(email: str | None, password: str | None) -> Credentials:
    """Ask for what is missing.

    :raises BadRequest: when something is missing and nobody can be asked.
    """
    require(email, password)
    if email is None:
        email = click.prompt("E-mail of the admin", err=True)
    if password is None:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return Credentials(email, password)


def require(email: str | None, password: str | None) -> None:
    """Make sure that nothing is missing, or that somebody can be asked.

    :raises BadRequest: naming what to give.
    """
    if can_ask():
        return
    if email is None:
        raise BadRequest(
            "An admin needs an e-mail address and a password. Give --admin-email and "
            "--admin-password (or TINYBASE_ADMIN_EMAIL and TINYBASE_ADMIN_PASSWORD), "
            "or --no-admin."
        )
    if password is None:
        raise BadRequest(
            "An admin needs a password and there is nobody to ask. Give TINYBASE_ADMIN_PASSWORD."
        )
