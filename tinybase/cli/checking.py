"""``tinybase extensions check``: which extensions fit this TinyBase, or a coming one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
from packaging.version import InvalidVersion, Version

from tinybase._version import __version__
from tinybase.cli import context
from tinybase.cli.output import emit_json, json_option, note, table
from tinybase.packages.generations import Generations

if TYPE_CHECKING:
    from tinybase.packages.compatibility import Fit


def _normal(
    ctx: click.Context,
    param: click.Parameter,
    value: str | None,
) -> str | None:
    """Return a version in its normal form, so that it can be compared."""
    try:
        return value and str(Version(value))
    except InvalidVersion as error:
        raise click.BadParameter(
            f"{value!r} is no version. Write, for example, 0.5.0.", ctx, param
        ) from error


@click.command("check")
@click.option(
    "--against",
    metavar="VERSION",
    callback=_normal,
    help="A version of TinyBase. Default: this one.",
)
@json_option
def check(*, against: str | None, as_json: bool) -> None:
    """Check whether the installed extensions fit this TinyBase, or another version of it.

    For this version they are also tried out: an extension whose hook does not exist any
    more does not fit. For another version their metadata tells. The exit code is 1 if one
    does not fit.

    \b
    Examples:
      tinybase extensions check
      tinybase extensions check --against 0.5.0
    """
    found = _check_here() if against in (None, __version__) else _check_against(against)
    if as_json:
        emit_json([_document(item) for item in found])
    else:
        table(
            [_document(item) | {"reasons": "; ".join(item.reasons)} for item in found],
            ["Name", "Version", "Fits", "Needs", "Python", "Reasons"],
            empty="There are no extensions.",
        )
    if not all(item.fits for item in found):
        click.get_current_context().exit(1)


def _check_against(version: str | None) -> list[Fit]:
    from tinybase.packages.compatibility import check_fit  # noqa: PLC0415 - SQLAlchemy, pluggy

    current = Generations(context.load_config().instance).current()
    note(f"Whether TinyBase {version} still has every hook, only that version can tell.")
    return check_fit(current, version)


def _check_here() -> list[Fit]:
    from tinybase.packages.compatibility import check_fit  # noqa: PLC0415 - as above

    with context.services() as services:
        note("Trying out the extensions")
        states = services.extensions.observe().states
        found = check_fit(Generations(services.config.instance).current())
    return [
        replace(item, reasons=(*item.reasons, f"it does not load: {state.reason}"))
        if (state := states.get(item.name)) and state.status == "failed"
        else item
        for item in found
    ]


def _document(item: Fit) -> dict[str, Any]:
    return {
        "name": item.name,
        "version": item.version,
        "fits": item.fits,
        "needs": item.needs,
        "python": item.python,
        "reasons": list(item.reasons),
    }
