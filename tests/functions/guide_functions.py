"""The file functions.py of the guide to extensions, word for word."""

# ruff: noqa: F821, I001, W293
# fmt: off
from pydantic import BaseModel
from tinybase.functions import Context, register


class SyncInput(BaseModel):
    force: bool = False


class SyncOutput(BaseModel):
    synced_count: int
    errors: list[str]


@register(
    name="ext_sync_all",
    description="Sync all records to external service",
    auth="admin",
    input_model=SyncInput,
    output_model=SyncOutput,
    tags=["my-extension", "sync"],
)
def sync_all_records(ctx: Context, payload: SyncInput) -> SyncOutput:
    """Sync all records to external service."""
    from sqlmodel import select
    from tinybase.db.models import Record
    
    records = ctx.db.exec(select(Record)).all()
    synced = 0
    errors = []
    
    for record in records:
        try:
            send_to_external(record.data)
            synced += 1
        except Exception as e:
            errors.append(f"{record.id}: {e}")
    
    return SyncOutput(synced_count=synced, errors=errors)
