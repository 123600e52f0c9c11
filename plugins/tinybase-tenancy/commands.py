"""``tinybase x tinybase-tenancy``: for operators."""

from typing import Any

import click
from sqlmodel import select

from tinybase.db.models import User
from tinybase.extensions import command, pass_context
from tinybase.functions import Context

from .directory import MEMBERSHIPS, ORGANISATIONS
from .settings import FIELD


@command
@click.command()
@click.argument("email")
@click.argument("organisation")
@pass_context
def join(ctx: Context, email: str, organisation: str) -> None:
    """Let a user belong to an organisation, which is made if there is none of that name.

    \b
    Example:
      tinybase x tinybase-tenancy join ann@example.com "Tea & Co"
    """
    user = ctx.db.exec(select(User).where(User.email_key == email.casefold())).one_or_none()
    if user is None:
        raise click.ClickException(f"Nobody has the address {email}.")
    found = _first(ctx, ORGANISATIONS, {"name": organisation})
    found = found or ctx.records.create(ORGANISATIONS, {"name": organisation})
    membership = {"user": str(user.id), FIELD: str(found.id)}
    now = _first(ctx, MEMBERSHIPS, {"user": str(user.id)})
    if now is None:
        ctx.records.create(MEMBERSHIPS, membership)
    else:
        ctx.records.update(MEMBERSHIPS, now.id, membership)
    click.echo(f"{user.email} belongs to {organisation}.")


def _first(ctx: Context, collection: str, filters: dict[str, str]) -> Any:
    return next(iter(ctx.records.list(collection, filters=filters, limit=1).records), None)
