"""``tinybase x tinybase-webhooks``: for operators."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import click

from tinybase.extensions import command, pass_context
from tinybase.functions import Context, NotFound

from .deliveries import DELIVERIES, message_id, written
from .deliveries import redeliver as begin_anew
from .endpoints import ENDPOINTS
from .sender import send
from .settings import Settings
from .signing import key_of, shown

_STATUSES = click.Choice(["pending", "delivered", "failed"])


@command
@click.command()
@click.argument("url")
@pass_context
def test(ctx: Context, url: str) -> None:
    """Send a signed request to URL at once, and say what it answered.

    It is signed for the endpoint that has this address, and otherwise for the address itself.

    \b
    Example:
      tinybase x tinybase-webhooks test https://example.com/hook
    """
    found = ctx.records.list(ENDPOINTS, filters={"url": url}, limit=1).records
    whom = str(found[0].id) if found else url
    now = written(datetime.now(UTC))
    body = json.dumps({"type": "webhook.test", "timestamp": now, "data": {}})
    answer, error = send(url, whom, message_id(uuid4()), body)
    if error is not None:
        raise click.ClickException(f"{url}: {error}")
    click.echo(f"{url} answered {answer}.")


@command
@click.command()
@click.argument("endpoint")
def secret(endpoint: str) -> None:
    """Show the secret of an endpoint, for its receiver to check signatures with.

    ENDPOINT is the id of an endpoint, or an address to test.

    \b
    Example:
      tinybase x tinybase-webhooks secret 0198c1f4-…
    """
    click.echo(shown(key_of(Settings.signing_secret, endpoint)))


@command
@click.command("list")
@click.option("--status", type=_STATUSES, help="Only those.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@pass_context
def list_deliveries(ctx: Context, status: str | None, limit: int, *, as_json: bool) -> None:
    """List deliveries, the newest first.

    \b
    Example:
      tinybase x tinybase-webhooks list --status failed
    """
    filters = {} if status is None else {"status": status}
    page = ctx.records.list(DELIVERIES, filters=filters, limit=limit)
    if as_json:
        rows = [_row(delivery) for delivery in page.records]
        click.echo(json.dumps({"deliveries": rows, "total": page.total}, indent=2))
        return
    for delivery in page.records:
        data = delivery.data
        fault = f"  {data['error']}" if data["error"] else ""
        click.echo(
            f"{delivery.id}  {data['status']:<9}  {data['attempts']:>2}  {data['event']}{fault}"
        )
    if not page.records:
        click.echo("There are no such deliveries.")


@command
@click.command()
@click.argument("delivery", required=False, type=click.UUID)
@click.option("--failed", is_flag=True, help="All that were given up.")
@pass_context
def redeliver(ctx: Context, delivery: UUID | None, *, failed: bool) -> None:
    """Send a delivery again, or all that were given up.

    A server that runs does so within a second; the webhook-id stays the same.

    \b
    Example:
      tinybase x tinybase-webhooks redeliver --failed
    """
    if failed == (delivery is not None):
        raise click.UsageError("Name one delivery, or say --failed.")
    count = 0
    for found in _given_up(ctx) if delivery is None else [_one(ctx, delivery)]:
        begin_anew(ctx, found)
        count += 1
    click.echo(f"{count} to be sent again.")


def _one(ctx: Context, delivery: UUID) -> Any:
    try:
        return ctx.records.get(DELIVERIES, delivery)
    except NotFound:
        raise click.ClickException(
            f"There is no delivery {delivery}; tinybase x tinybase-webhooks list shows them."
        ) from None


def _given_up(ctx: Context) -> Any:
    """Yield what has failed, page by page; what is begun anew is not among it any more."""
    while found := ctx.records.list(
        DELIVERIES, filters={"status": "failed"}, limit=500, count=False
    ).records:
        yield from found


def _row(delivery: Any) -> dict[str, Any]:
    return {"id": str(delivery.id), "webhook_id": message_id(delivery.id), **delivery.data}
