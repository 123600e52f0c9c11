"""Hooks about users."""

from tinybase_hookspecs.events import UserLoginEvent, UserRegisterEvent
from tinybase_hookspecs.markers import hookspec


@hookspec
def tinybase_on_user_login(event: UserLoginEvent) -> None:
    """Called after a user signed in and the tokens were committed.

    Nothing an implementation does can undo the login. An exception is logged against the
    extension and the next implementation still runs.
    """


@hookspec
def tinybase_on_user_register(event: UserRegisterEvent) -> None:
    """Called after a new user was committed: by registration, by an admin or by the CLI.

    The account exists, whatever an implementation does. An exception is logged against the
    extension and the next implementation still runs.
    """
