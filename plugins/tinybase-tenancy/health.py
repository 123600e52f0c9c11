"""Whether what is to be divided can be."""

from sqlmodel import select

from tinybase.db.models import Collection
from tinybase.extensions import health_check
from tinybase.functions import Context

from .settings import FIELD, Settings


@health_check("divided-collections")
def every_divided_collection_has_the_field(ctx: Context) -> None:
    """Find collections that were there before they were divided: nobody sees their records."""
    for collection in ctx.db.exec(select(Collection)).all():
        if collection.name in Settings.collections and not _has_field(collection):
            raise LookupError(
                f"the collection {collection.name} has no field {FIELD}, so nobody but admins "
                "can list it: change its schema in any way, and it gets one"
            )


def _has_field(collection: Collection) -> bool:
    return any(field["name"] == FIELD for field in collection.schema.get("fields", ()))
