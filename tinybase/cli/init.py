"""``tinybase init``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from tinybase import config as configuration
from tinybase.cli import context, credentials
from tinybase.cli.output import note

FUNCTIONS_FOLDER = "functions"


@click.command("init")
@click.argument("folder", required=False, type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--admin-email",
    envvar="TINYBASE_ADMIN_EMAIL",
    help="The first admin (or TINYBASE_ADMIN_EMAIL). Default: asked for.",
)
@click.option(
    "--admin-password",
    envvar="TINYBASE_ADMIN_PASSWORD",
    help="Their password (or TINYBASE_ADMIN_PASSWORD). Default: asked for.",
)
@click.option("--no-admin", is_flag=True, help="Make no admin now.")
@click.option("--database", metavar="URL", help="Default: sqlite:///tinybase.db in the folder.")
def command(
    *,
    folder: Path | None,
    admin_email: str | None,
    admin_password: str | None,
    no_admin: bool,
    database: str | None,
) -> None:
    """Make an instance in FOLDER (default: the current one).

    It gets tinybase.toml with every key explained, a folder for functions, a database at
    the newest version and a first admin. What is there already stays as it is.

    \b
    Examples:
      tinybase init my-app
      tinybase init my-app --admin-email ada@example.com
      tinybase init my-app --no-admin --database sqlite:////srv/data/my-app.db
      tinybase init my-app --database postgresql+psycopg://tinybase@db.example.com/tinybase
    """
    if folder is not None:
        context.use_instance(folder)
    wants_admin = not no_admin
    is_new = not (context.instance() / configuration.FILE_NAME).exists()
    if wants_admin and is_new:
        # Asked before anything is written: whoever gives up leaves nothing behind.
        asked = credentials.ask(admin_email, admin_password)
        admin_email, admin_password = asked.email, asked.password
    if database is not None and is_new:
        _require_usable(database)
    make_files(database)
    upgrade_database()
    if wants_admin:
        make_first_admin(admin_email, admin_password)
    else:
        note("No admin was made. Make one with tinybase admin add EMAIL.")
    note(f"The instance is ready. Serve it with {context.own_command('serve')}.")


def _require_usable(database: str) -> None:
    """Refuse an address that will not do before anything is written."""
    from tinybase.cli.database import opened  # noqa: PLC0415 - SQLAlchemy
    from tinybase.db import migrate  # noqa: PLC0415

    folder = context.instance()
    config = configuration.load(folder, {**os.environ, "TINYBASE_DATABASE_URL": database})
    with opened(config) as engine:
        migrate.current(engine)


def make_files(database: str | None) -> None:
    """Write the configuration and the folder for functions, where they are missing."""
    from tinybase.cli.scaffold import write_config  # noqa: PLC0415 - toml

    folder = context.instance()
    folder.mkdir(parents=True, exist_ok=True)
    if write_config(folder, {"database.url": database} if database else {}):
        note(f"Wrote {folder / configuration.FILE_NAME}.")
    else:
        kept = " --database was not looked at." if database else ""
        note(f"{folder / configuration.FILE_NAME} exists and stays as it is.{kept}")
    (folder / FUNCTIONS_FOLDER).mkdir(exist_ok=True)


def upgrade_database() -> None:
    """Bring the database to the newest version."""
    from tinybase.cli.database import opened  # noqa: PLC0415 - SQLAlchemy
    from tinybase.db import migrate  # noqa: PLC0415

    with opened(context.load_config()) as engine:
        before = migrate.upgrade(engine)
    if before == migrate.HEAD:
        note(f"The database is at revision {migrate.HEAD} already.")
    else:
        note(f"The database is now at revision {migrate.HEAD}.")


def make_first_admin(email: str | None, password: str | None) -> None:
    """Make an admin, unless there is one."""
    with context.services(load=True) as services:
        admins, total = services.users.list(is_admin=True, limit=1)
        if total:
            note(f"There is an admin already: {admins[0].email}.")
            return
        asked = credentials.ask(email, password)
        account = services.users.create(asked.email, asked.password, is_admin=True)
        note(f"Made the admin {account.email}.")
