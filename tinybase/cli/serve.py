"""``tinybase serve``."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import click

from tinybase import config as configuration
from tinybase import logs
from tinybase.cli import context
from tinybase.cli.importing import without_collector
from tinybase.config import Config

_log = logging.getLogger(__name__)


@click.command("serve")
@click.option("--host", help="The address to listen on. Default: 127.0.0.1.")
@click.option("--port", type=click.IntRange(1, 65535), help="The port. Default: 8000.")
@click.option(
    "--workers", type=click.IntRange(1), help="Worker processes. Default: the cores, at most 4."
)
@click.option(
    "--threads", type=click.IntRange(1), help="Requests that one worker handles at a time."
)
@click.option("--reload", is_flag=True, help="Start again whenever a source file changes.")
@click.option("--open", "open_", is_flag=True, help="Open the API documentation in a browser.")
def command(
    *,
    host: str | None,
    port: int | None,
    workers: int | None,
    threads: int | None,
    reload: bool,
    open_: bool,
) -> None:
    """Serve the instance over HTTP until Ctrl-C or SIGTERM.

    What is in flight gets 25 seconds to finish; then extensions hear on_shutdown.
    SIGHUP replaces the workers one by one without a failed request. --reload watches the
    instance and the extensions that were installed with -e before the start.

    \b
    Examples:
      tinybase serve
      tinybase serve --host 0.0.0.0 --port 80 --workers 4
      tinybase -C my-app serve --reload
    """
    flags = {"HOST": host, "PORT": port, "WORKERS": workers, "THREADS": threads}
    given = {f"TINYBASE_SERVER_{name}": str(value) for name, value in flags.items() if value}
    serve(given, reload=reload, open_=open_)


def serve(environ: dict[str, str], *, reload: bool, open_: bool) -> None:
    """Serve the instance of this command until somebody stops it.

    :param environ: variables that hold for the supervising process and the workers.
    """
    # The workers read the configuration themselves; the environment reaches them all.
    os.environ.update(environ)
    config = context.load_config()
    os.environ["TINYBASE_INSTANCE"] = str(config.instance)
    logs.configure(config.server.log_level, logs.file_of(config.instance))
    _warn_of_old_keys(config)
    context.check_database(config)

    with without_collector():
        # granian and the application: nothing of it is needed to refuse.
        from tinybase.cli.preloading import preload_models  # noqa: PLC0415
        from tinybase.cli.supervisor import Supervisor, require_free_port  # noqa: PLC0415

        preload_models(config)
        # Nor is it looked at again, so that the workers can go on sharing its memory.
        gc.freeze()
    require_free_port(config.server.host, config.server.port)
    Supervisor(config, reload=_sources(config) if reload else (), open_=open_).serve()


def _sources(config: Config) -> Iterator[Path]:
    """Yield the folders that people edit: the instance and its editable extensions."""
    from tinybase.packages.lock import FILE_NAME, Lock  # noqa: PLC0415 - only for --reload

    yield config.instance
    for extension in Lock.read(config.instance / FILE_NAME).extensions.values():
        folder = Path(extension.address)
        if extension.editable and folder.is_dir():
            yield folder


def _warn_of_old_keys(config: Config) -> None:
    path = config.instance / configuration.FILE_NAME
    for old, new in configuration.deprecated_keys(path).items():
        _log.warning("%s in %s is outdated: write %s.", old, configuration.FILE_NAME, new)
