"""``tinybase db backup`` and ``restore``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import click

from tinybase.cli import context
from tinybase.cli.output import confirm, counted, emit_json, json_option, note, yes_option
from tinybase.cli.progress import Progress


@click.command("backup")
@click.argument("target", metavar="FILE|FOLDER", type=click.Path(path_type=Path))
@json_option
def backup(*, target: Path, as_json: bool) -> None:
    """Write a verified copy of the database to FILE, or into FOLDER under a name of its own.

    A server may go on: the copy is the database as it is at one moment. FILE must not exist;
    it is there only when it is complete. PostgreSQL needs pg_dump on the path.

    \b
    Examples:
      tinybase db backup backups/
      tinybase db backup before-the-update.db
    """
    config = context.load_config()
    from tinybase.cli.database import faults_explained  # noqa: PLC0415 - SQLAlchemy
    from tinybase.db.backup import back_up, backups_of  # noqa: PLC0415

    progress = Progress()
    with faults_explained():
        backups = backups_of(config)
        if target.is_dir():
            target /= f"tinybase-{_now()}{backups.suffix}"
        rows = back_up(backups, target, progress)
    progress.done()
    size = target.stat().st_size
    if as_json:
        emit_json({"file": str(target.resolve()), "bytes": size, "rows": dict(rows)})
    else:
        note(f"The backup is {target}: {_summary(rows)}, {size:,} bytes, verified.")


@click.command("restore")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@yes_option
@json_option
def restore(*, file: Path, yes: bool, as_json: bool) -> None:
    """Make the database what it was when the backup FILE was made.

    The backup is verified before anything changes, and what is there is kept in the folder
    backups of the instance. It is all or nothing, also when it is interrupted. Stop the
    server before.

    \b
    Example:
      tinybase db restore backups/tinybase-20260131T120000Z.db
    """
    config = context.load_config()
    from tinybase.cli.database import faults_explained  # noqa: PLC0415 - SQLAlchemy
    from tinybase.db import migrate  # noqa: PLC0415
    from tinybase.db.backup import backups_of  # noqa: PLC0415
    from tinybase.db.backup import restore as put_back  # noqa: PLC0415

    confirm(f"Replace the database of {config.instance} by {file}?", yes=yes)
    progress = Progress()
    with faults_explained():
        backups = backups_of(config)
        aside = config.instance / "backups" / f"before-restore-{_now()}{backups.suffix}"
        contents, had_one = put_back(backups, file, aside, progress)
    progress.done()
    kept = str(aside) if had_one else None
    if as_json:
        rows = dict(contents.rows)
        emit_json({"file": str(file), "revision": contents.revision, "rows": rows, "kept": kept})
        return
    note(f"Restored {file}: {_summary(contents.rows)}.")
    if kept:
        note(f"What was there before is {kept}.")
    if contents.revision != migrate.HEAD:
        note(f"It is of an older version. Run {context.own_command('db upgrade')}.")


def _summary(rows: Mapping[str, int]) -> str:
    return ", ".join(counted(rows.get(f"{noun}s", 0), noun) for noun in ("record", "user"))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
