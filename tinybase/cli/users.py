"""``tinybase users``: everybody who can sign in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import UUID

import click

from tinybase.cli import context
from tinybase.cli.output import confirm, details, emit_json, json_option, note, table, yes_option
from tinybase.errors import NotFound

if TYPE_CHECKING:
    from tinybase.auth.accounts import Account
    from tinybase.auth.users import Users

_PAGE = 1000

user_argument = click.argument("user", metavar="USER")


@click.group("users")
def command() -> None:
    """List, show, disable, enable and delete users.

    USER is an e-mail address or an id. Admins are made with tinybase admin add.
    """


@command.command("list")
@json_option
def list_(*, as_json: bool) -> None:
    """List all users, the oldest first."""
    with context.services() as services:
        accounts = list(_all(services.users))
    if as_json:
        emit_json(accounts)
        return
    rows = [{**_facts(account), "id": account.id} for account in accounts]
    columns = ["Email", "Admin", "Active", "Created", "Id"]
    table(rows, columns, empty="There are no users. Make an admin with tinybase admin add EMAIL.")


@command.command("show")
@user_argument
@json_option
def show(*, user: str, as_json: bool) -> None:
    """Show one user."""
    with context.services() as services:
        account = find(services.users, user)
    if as_json:
        emit_json(account)
    else:
        details({"id": account.id, **_facts(account)})


@command.command("disable")
@user_argument
def disable(*, user: str) -> None:
    """Keep a user from signing in; every session ends at once."""
    _set_active(user, is_active=False)
    note(f"{user} is disabled. Lift it with {context.own_command(f'users enable {user}')}.")


@command.command("enable")
@user_argument
def enable(*, user: str) -> None:
    """Let a disabled user sign in again."""
    _set_active(user, is_active=True)
    note(f"{user} is enabled.")


@command.command("delete")
@user_argument
@yes_option
def delete(*, user: str, yes: bool) -> None:
    """Delete a user. Their records stay and belong to nobody."""
    with context.services(load=True) as services:
        account = find(services.users, user)
        confirm(f"Delete the user {account.email}?", yes=yes)
        services.users.delete(account.id)
    note(f"Deleted the user {account.email}.")


def find(users: Users, named: str) -> Account:
    """Return the user with an e-mail address or an id.

    :raises NotFound: if there is none.
    """
    if "@" in named:
        return users.find(named)
    try:
        user_id = UUID(named)
    except ValueError as error:
        raise NotFound(
            f"There is no user {named!r}. Give an e-mail address or an id of tinybase users list."
        ) from error
    return users.get(user_id)


def _set_active(user: str, *, is_active: bool) -> None:
    with context.services(load=True) as services:
        services.users.update(find(services.users, user).id, is_active=is_active)


def _all(users: Users) -> Iterator[Account]:
    offset, total = 0, 1
    while offset < total:
        page, total = users.list(limit=_PAGE, offset=offset)
        yield from page
        offset += _PAGE


def _facts(account: Account) -> dict[str, object]:
    return {
        "email": account.email,
        "admin": account.is_admin,
        "active": account.is_active,
        "created": account.created_at,
    }
