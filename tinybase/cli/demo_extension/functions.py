"""A function that clients call with ``POST /api/functions/demo_count``."""

from pydantic import BaseModel

from tinybase.functions import Context, register


class CountInput(BaseModel):
    """What a client sends; without ``done`` all notes count."""

    done: bool | None = None


class CountOutput(BaseModel):
    """What a client gets."""

    notes: int


@register(
    name="demo_count",
    description="Count the notes",
    auth="public",
    input_model=CountInput,
    output_model=CountOutput,
    tags=["demo"],
)
def count(ctx: Context, payload: CountInput) -> CountOutput:
    """Count the notes, or those that are done or not done."""
    filters = {} if payload.done is None else {"done": payload.done}
    page = ctx.records.list("notes", filters=filters, limit=1)
    return CountOutput(notes=page.total or 0)
