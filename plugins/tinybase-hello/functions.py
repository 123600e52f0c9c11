"""A function that clients call with ``POST /api/functions/hello``."""

from pydantic import BaseModel, Field

from tinybase.functions import register


class HelloInput(BaseModel):
    """What a client sends; anything else is refused before the function runs."""

    name: str = Field(default="world", max_length=100)


class HelloOutput(BaseModel):
    """What a client gets."""

    message: str


@register(
    name="hello",
    description="Say hello",
    auth="public",
    input_model=HelloInput,
    output_model=HelloOutput,
    tags=["hello"],
)
def hello(payload: HelloInput) -> HelloOutput:
    """Say hello to somebody, or to the world."""
    return HelloOutput(message=f"Hello, {payload.name}!")
