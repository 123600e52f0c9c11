"""Hooks about users."""

from tinybase_hookspecs.events import (
    PasswordChangeEvent,
    UserDeleteEvent,
    UserLoginEvent,
    UserLoginFailedEvent,
    UserLogoutEvent,
    UserRegisterEvent,
    UserUpdateEvent,
)
from tinybase_hookspecs.markers import hookspec
from tinybase_hookspecs.questions import (
    BeforeUserLoginEvent,
    BeforeUserRegisterEvent,
    TokenClaimsEvent,
)


@hookspec
def tinybase_before_user_register(event: BeforeUserRegisterEvent) -> dict[str, object] | None:
    """Called before a new user is stored, inside the transaction.

    ``event.data`` may be changed in place, or a mapping returned to take its place; the
    result is checked again: it has the ``email`` and nothing else. An exception refuses the
    user, as it does a record. What a handler writes with its ``ctx`` belongs to the same
    transaction.
    """


@hookspec
def tinybase_before_user_login(event: BeforeUserLoginEvent) -> None:
    """Called after the password was found right and before the tokens are stored.

    Not called when a token is refreshed: the session goes on. A login that is refused counts
    against the limit of failed ones.

    An exception refuses the login: :class:`~tinybase_hookspecs.Reject` with its answer, any
    other with ``extension_error``.
    """


@hookspec
def tinybase_token_claims(event: TokenClaimsEvent) -> dict[str, object] | None:
    """Called when somebody signs in; returns what to keep with their tokens.

    The claims of all extensions are merged, those of the extension that is called first
    win. They stay with the session, also when its tokens are refreshed. Handlers and
    functions find them as ``ctx.claims``, the client at ``GET /api/auth/me``. Claims are
    plain JSON of at most 4,096 bytes from each implementation; others, and an exception,
    refuse the login.
    """


@hookspec
def tinybase_on_user_login(event: UserLoginEvent) -> None:
    """Called after a user signed in and the tokens were committed.

    Nothing an implementation does can undo the login. An exception is logged against the
    extension and the next implementation still runs.
    """


@hookspec
def tinybase_on_user_login_failed(event: UserLoginFailedEvent) -> None:
    """Called after somebody could not sign in.

    The answer does not wait for it, so that its time tells nobody whether an address is
    known. Not called for attempts that a rate limit refuses.
    """


@hookspec
def tinybase_on_user_logout(event: UserLogoutEvent) -> None:
    """Called after a user signed out and the tokens were revoked."""


@hookspec
def tinybase_on_user_register(event: UserRegisterEvent) -> None:
    """Called after a new user was committed: by registration, by an admin or by the CLI.

    The account exists, whatever an implementation does. An exception is logged against the
    extension and the next implementation still runs.
    """


@hookspec
def tinybase_on_user_update(event: UserUpdateEvent) -> None:
    """Called after a change of a user was committed.

    Not called for a password, which has a hook of its own, nor for a write that changed
    nothing.
    """


@hookspec
def tinybase_on_user_delete(event: UserDeleteEvent) -> None:
    """Called after the deletion of a user was committed."""


@hookspec
def tinybase_on_password_change(event: PasswordChangeEvent) -> None:
    """Called after a new password of a user was committed."""
