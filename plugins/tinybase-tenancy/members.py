"""What happens when somebody signs up, and when a user is deleted."""

from tinybase.extensions import (
    UserDeleteEvent,
    UserRegisterEvent,
    on_user_delete,
    on_user_register,
)
from tinybase.functions import Context

from .directory import MEMBERSHIPS, ORGANISATIONS
from .settings import FIELD, Settings


@on_user_register
def welcome(event: UserRegisterEvent, ctx: Context) -> None:
    """Give who signed up an organisation of their own, if the operator wants that.

    Whom an admin added has none: the admin says where they belong.
    """
    if event.actor == "anonymous" and Settings.sign_up == "own":
        organisation = ctx.records.create(ORGANISATIONS, {"name": event.email}, owner_id=None)
        membership = {"user": str(event.user_id), FIELD: str(organisation.id)}
        ctx.records.create(MEMBERSHIPS, membership, owner_id=None)


@on_user_delete
def farewell(event: UserDeleteEvent, ctx: Context) -> None:
    """End the membership of a user who is gone; the records stay with the organisation."""
    found = ctx.records.list(MEMBERSHIPS, filters={"user": str(event.user_id)})
    for membership in found.records:
        ctx.records.delete(MEMBERSHIPS, membership.id)
