"""An example of every hook.

The reference shows the part below each comment that names a hook, together with what it
needs of the part above all of them.
"""

import hashlib
import logging
import shutil

import click
from flask import Blueprint
from prometheus_client import Counter

from tinybase.extensions import (
    AccessEvent,
    Answer,
    BeforeCollectionCreateEvent,
    BeforeCollectionDeleteEvent,
    BeforeCollectionUpdateEvent,
    BeforeFunctionCallEvent,
    BeforeRecordCreateEvent,
    BeforeRecordDeleteEvent,
    BeforeRecordUpdateEvent,
    BeforeUserLoginEvent,
    BeforeUserRegisterEvent,
    CollectionCreateEvent,
    CollectionDeleteEvent,
    CollectionUpdateEvent,
    ErrorEvent,
    ExtensionDisableEvent,
    ExtensionEnableEvent,
    FunctionCallEvent,
    FunctionCompleteEvent,
    Identity,
    PasswordChangeEvent,
    RecordChangeEvent,
    RecordCreateEvent,
    RecordDeleteEvent,
    RecordFilterEvent,
    RecordRedactEvent,
    RecordUpdateEvent,
    RecordWriteEvent,
    RecordWriteFailedEvent,
    Reject,
    RequestEvent,
    ResponseEvent,
    Setting,
    TokenClaimsEvent,
    UserDeleteEvent,
    UserLoginEvent,
    UserLoginFailedEvent,
    UserLogoutEvent,
    UserRegisterEvent,
    UserUpdateEvent,
    after_request,
    authenticate,
    before_collection_create,
    before_collection_delete,
    before_collection_update,
    before_function_call,
    before_record_create,
    before_record_delete,
    before_record_update,
    before_request,
    before_user_login,
    before_user_register,
    can_access,
    command,
    filter_records,
    health_check,
    on_collection_create,
    on_collection_delete,
    on_collection_update,
    on_error,
    on_extension_disable,
    on_extension_enable,
    on_function_call,
    on_function_complete,
    on_password_change,
    on_record_change,
    on_record_create,
    on_record_delete,
    on_record_update,
    on_record_write,
    on_record_write_failed,
    on_shutdown,
    on_startup,
    on_user_delete,
    on_user_login,
    on_user_login_failed,
    on_user_logout,
    on_user_register,
    on_user_update,
    pass_context,
    public,
    redact_record,
    register_blueprint,
    register_collection,
    register_metric,
    register_settings,
    token_claims,
)
from tinybase.functions import Context, register

logger = logging.getLogger(__name__)


# tinybase_on_startup


@on_startup
def begin(ctx: Context):
    logger.info("there are %d notes", ctx.records.list("notes", limit=1).total)


# tinybase_on_shutdown


@on_shutdown
def end():
    logger.info("what on_startup opened is closed here")


# tinybase_on_extension_enable


@on_extension_enable
def note_arrival(event: ExtensionEnableEvent):
    logger.info("%s %s was enabled", event.extension, event.version)


# tinybase_on_extension_disable


@on_extension_disable
def note_departure(event: ExtensionDisableEvent):
    logger.info("%s %s was disabled", event.extension, event.version)


# tinybase_before_user_register


@before_user_register
def only_colleagues(event: BeforeUserRegisterEvent):
    if not event.data["email"].endswith("@example.com"):
        raise Reject("Use your address at work.", status=403, code="not_a_colleague")


# tinybase_before_user_login


@before_user_login
def no_leavers(event: BeforeUserLoginEvent):
    if event.email.startswith("former-"):
        raise Reject("This account is closed; ask an admin.", status=403, code="closed")


# tinybase_token_claims


@token_claims
def team(event: TokenClaimsEvent):
    return {"team": event.email.partition("@")[0]}


# tinybase_on_user_login


@on_user_login
def watch_admins(event: UserLoginEvent):
    if event.is_admin:
        logger.warning("admin %s signed in", event.email)


# tinybase_on_user_login_failed


@on_user_login_failed
def watch_failures(event: UserLoginFailedEvent):
    logger.warning("%s could not sign in: %s", event.email, event.reason)


# tinybase_on_user_logout


@on_user_logout
def say_goodbye(event: UserLogoutEvent):
    logger.info("%s signed out", event.email)


# tinybase_on_user_register


@on_user_register
def welcome(event: UserRegisterEvent, ctx: Context):
    ctx.records.create("notes", {"text": f"Hello, {event.email}!"}, owner_id=event.user_id)


# tinybase_on_user_update


@on_user_update
def note_promotion(event: UserUpdateEvent):
    logger.info("%s has another %s", event.email, ", ".join(event.changes))


# tinybase_on_user_delete


@on_user_delete
def forget(event: UserDeleteEvent):
    logger.info("%s is gone", event.email)


# tinybase_on_password_change


@on_password_change
def warn_owner(event: PasswordChangeEvent):
    logger.info("%s has another password (%s)", event.email, event.method)


# tinybase_before_collection_create


@before_collection_create
def names_that_speak(event: BeforeCollectionCreateEvent):
    if len(event.collection) < 3:
        raise Reject("Give the collection a longer name.", code="name_too_short")


# tinybase_before_collection_update


@before_collection_update(collection="orders")
def keep_the_item(event: BeforeCollectionUpdateEvent):
    if "item" not in {field["name"] for field in event.data["schema"]["fields"]}:
        raise Reject("Orders need their item.", status=409, code="item_is_needed")


# tinybase_before_collection_delete


@before_collection_delete(collection="invoices")
def keep_invoices(event: BeforeCollectionDeleteEvent):
    raise Reject(f"The {event.collection} are kept.", status=403, code="is_kept")


# tinybase_on_collection_create


@on_collection_create
def note_collection(event: CollectionCreateEvent):
    logger.info("there is a collection %s", event.collection)


# tinybase_on_collection_update


@on_collection_update
def note_fields(event: CollectionUpdateEvent):
    logger.info("%s had %s, now %s", event.collection, event.old_schema, event.schema)


# tinybase_on_collection_delete


@on_collection_delete
def note_end_of_collection(event: CollectionDeleteEvent):
    logger.info("%s is gone with all of its records", event.collection)


# tinybase_before_record_create


@before_record_create(collection="orders")
def tidy(event: BeforeRecordCreateEvent):
    event.data["item"] = event.data["item"].strip().lower()
    if event.data["pieces"] > 100:
        raise Reject("Call us for more than 100 pieces.", status=409, code="too_many")


# tinybase_before_record_update


@before_record_update(collection="orders")
def keep_item(event: BeforeRecordUpdateEvent):
    if event.data["item"] != event.old_data["item"]:
        raise Reject("An order keeps its item.", status=409, code="item_is_fixed")


# tinybase_before_record_delete


@before_record_delete(collection="orders")
def keep_open_orders(event: BeforeRecordDeleteEvent):
    if event.data["pieces"] > 0:
        raise Reject("Set the pieces to 0 first.", status=409, code="order_is_open")


# tinybase_on_record_write


@on_record_write(collection="orders")
def write_note(event: RecordWriteEvent, ctx: Context):
    ctx.records.create("notes", {"text": f"{event.action} {event.record_id}"})


# tinybase_on_record_create


@on_record_create(collection="orders")
def thank(event: RecordCreateEvent):
    logger.info("thank you for order %s: %s", event.record_id, event.data["item"])


# tinybase_on_record_update


@on_record_update(collection="orders")
def compare(event: RecordUpdateEvent):
    logger.info("from %d to %d", event.old_data["pieces"], event.new_data["pieces"])


# tinybase_on_record_delete


@on_record_delete(collection="orders")
def note_cancellation(event: RecordDeleteEvent):
    logger.info("order %s of %s is cancelled", event.record_id, event.data["item"])


# tinybase_on_record_change


@on_record_change(collection="orders")
def synchronize(event: RecordChangeEvent):
    logger.info("%s %s: %s", event.action, event.record_id, event.new_data)


# tinybase_on_record_write_failed


@on_record_write_failed(collection="orders")
def count_refusals(event: RecordWriteFailedEvent):
    logger.warning("%s of an order failed: %s", event.action, event.error_code)


# tinybase_can_access


@can_access(collection="orders")
def auditors_read_all(event: AccessEvent, ctx: Context):
    if event.operation in ("list", "read") and ctx.claims.get("team") == "audit":
        return True
    return None


# tinybase_filter_records


@filter_records(collection="orders")
def only_open_ones(event: RecordFilterEvent):
    return None if event.actor == "admin" else {"pieces": {"gte": 1}}


# tinybase_redact_record


@redact_record(collection="orders", fields="remark")
def hide_remark(event: RecordRedactEvent):
    if event.actor != "admin":
        event.data["remark"] = None


# tinybase_before_function_call


@before_function_call(name="price")
def at_least_one(event: BeforeFunctionCallEvent):
    event.payload["pieces"] = max(1, event.payload["pieces"])


# tinybase_on_function_call


@on_function_call(name="price")
def no_large_ones(event: FunctionCallEvent):
    if event.payload["pieces"] > 100:
        raise Reject("Call us for more than 100 pieces.", status=403, code="too_many")


# tinybase_on_function_complete


@on_function_complete(name="price")
def measure(event: FunctionCompleteEvent):
    logger.info("%s %s in %d ms", event.function_name, event.status, event.duration_ms)


# tinybase_before_request


@before_request
def redirect(event: RequestEvent):
    if event.path == "/help":
        return Answer(302, headers={"Location": "/docs"})
    return None


# tinybase_authenticate

KEYS = {hashlib.sha256(b"secret").hexdigest(): "robot@example.com"}


@authenticate
def by_key(event: RequestEvent):
    scheme, _, key = event.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "apikey":
        return None
    email = KEYS.get(hashlib.sha256(key.encode()).hexdigest())
    if email is None:
        raise Reject("This key is not valid.", status=401, code="bad_key")
    return Identity(email=email)


# tinybase_after_request


@after_request
def forbid_frames(event: ResponseEvent):
    event.headers["X-Frame-Options"] = "DENY"


# tinybase_on_error


@on_error
def alarm(event: ErrorEvent):
    logger.critical("%s %s: %r", event.source, event.handler, event.error)


# tinybase_register_functions


@register(name="price", auth="public")
def price(payload: dict):
    return {"price": 3 * payload["pieces"]}


# tinybase_register_blueprints

board = Blueprint("board", __name__)
register_blueprint(board)


@board.get("/notes")
@public
def count_notes(ctx: Context):
    """Count the notes."""
    return {"notes": ctx.records.list("notes", limit=1).total}


# tinybase_register_commands


@command
@click.command()
@click.argument("text")
@pass_context
def note(ctx: Context, text: str):
    """Write a note."""
    click.echo(ctx.records.create("notes", {"text": text}).id)


# tinybase_register_collections

NOTES = register_collection("notes", {"fields": [{"name": "text", "type": "string"}]})


# tinybase_register_settings


@register_settings
class Settings:
    api_key = Setting(str, secret=True, env="SHOP_KEY", description="Of the shop.")
    currency = Setting(str, default="EUR", choices=["EUR", "USD"])


# tinybase_register_health_checks


@health_check("disk")
def enough_room():
    if shutil.disk_usage("/").free < 2**20:
        raise RuntimeError("less than 1 MiB is free")


# tinybase_register_metrics

orders = register_metric(Counter("shop_orders", "Orders taken.", registry=None))
