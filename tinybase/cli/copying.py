"""``tinybase db copy``."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from tinybase.cli import context
from tinybase.cli.output import details, emit_json, json_option, note
from tinybase.cli.progress import Progress
from tinybase.config import FILE_NAME, Config


@click.command("copy")
@click.option("--to", "target", metavar="URL", required=True, help="Where to; it must be empty.")
@click.option("--dry-run", is_flag=True, help="Say what would be copied, and copy nothing.")
@json_option
def copy(*, target: str, dry_run: bool, as_json: bool) -> None:
    """Copy the database to another one, such as from SQLite to PostgreSQL or back.

    Stop the server before. Every table is verified by the number of its rows and a hash of
    them. When it is interrupted, the same command carries on, and the target cannot be
    served until it has. The source and the configuration stay as they are: the end of it
    says what to change. A password is better in PGPASSWORD than in URL.

    \b
    Examples:
      tinybase db copy --to postgresql+psycopg://tinybase@db.example.com/tinybase
      tinybase db copy --to sqlite:///copy.db --dry-run
    """
    config = context.load_config()
    from tinybase.cli.database import faults_explained  # noqa: PLC0415 - SQLAlchemy
    from tinybase.collections.copied import make_indexes  # noqa: PLC0415
    from tinybase.db import copying  # noqa: PLC0415

    other = dataclasses.replace(config, database=dataclasses.replace(config.database, url=target))
    with faults_explained():
        if dry_run:
            _tell_plan(copying.plan(config, other), as_json=as_json)
            return
        progress = Progress()
        try:
            copied = copying.copy(config, other, make_indexes, progress)
        finally:
            progress.done()
    if as_json:
        emit_json({**dataclasses.asdict(copied), "url": _without_password(target)})
        return
    note(f"Copied {sum(copied.rows.values()):,} rows; each table is verified.")
    if copied.kept:
        note(f"{copied.kept:,} of them were there already.")
    _tell_left_out(copied.left_out)
    note(_remedy(config, target))


def _tell_plan(plan: Any, *, as_json: bool) -> None:
    if as_json:
        emit_json(plan)
        return
    details({"Target": plan.target, **plan.rows})
    _tell_left_out(plan.left_out)
    note("Nothing was copied.")


def _tell_left_out(tables: tuple[str, ...]) -> None:
    if tables:
        note(f"Not copied, because TinyBase did not make them: {', '.join(tables)}.")


def _remedy(config: Config, target: str) -> str:
    """Say how the instance uses the copy from now on."""
    source = config.sources["database.url"]
    url = _without_password(target)
    if source in ("default", FILE_NAME):
        return f'To use it, write in [database] of {FILE_NAME}: url = "{url}"'
    return f"To use it, set {source} to {url}"


def _without_password(url: str) -> str:
    from sqlalchemy.engine import make_url  # noqa: PLC0415

    parsed = make_url(url)
    if parsed.password is None:
        return url
    return parsed.set(password=None).render_as_string(hide_password=False)
