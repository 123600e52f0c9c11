"""Reading request bodies: their size, their type, their content."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import BufferedReader, RawIOBase
from typing import Any, BinaryIO, cast

from flask import Request
from marshmallow import ValidationError
from werkzeug.exceptions import ClientDisconnected
from werkzeug.http import parse_options_header
from werkzeug.sansio.utils import get_content_length
from werkzeug.wsgi import get_input_stream

from tinybase.api.json import JsonLimits, parse_object
from tinybase.api.operation import REQUEST, BodyLimit
from tinybase.api.schemas import AnyObject, Schema, load_faults
from tinybase.config import Config
from tinybase.errors import BadRequest, Invalid, TinyBaseError

_JSON = ("application/json", "")
_PLAIN_SIZE = re.compile(r"[0-9]{1,15}")


class BodyReader:
    """Reads the bodies of one kind of operation, within its limits."""

    def __init__(self, config: Config, limit: BodyLimit) -> None:
        self._largest = _sizes(config)[limit]
        # The input of a function may be one long text; its body limit suffices.
        strings = 0 if limit == "functions" else config.limits.string_bytes
        self._limits = JsonLimits(depth=config.limits.json_depth, string_bytes=strings)

    def check_declared_size(self, environ: dict[str, Any]) -> None:
        """Refuse a body that says itself that it is too large, before anything is read.

        :raises TinyBaseError: ``payload_too_large``.
        """
        refuse_declared_size(environ, self._largest)

    def read(self, environ: dict[str, Any], *, required: bool) -> dict[str, Any]:
        """Return the JSON object in the body; without ``required``, no body is an empty one.

        :raises TinyBaseError: for a body that is too large, of another type, or no good.
        """
        raw = self._read(environ)
        if raw:
            _check_type(environ)
        elif not required:
            return {}
        return parse_object(raw, self._limits)

    def _read(self, environ: dict[str, Any]) -> bytes:
        request: Request | None = environ.get(REQUEST)
        size = _declared_size(environ)
        if request is None and size is not None and size <= self._largest:
            return _read_exactly(environ["wsgi.input"], size)
        # Werkzeug cuts a chunked body off at its limit without a word; the one byte more
        # tells that there would have been more.
        most = self._largest + 1
        try:
            if request is None:
                raw = get_input_stream(environ, max_content_length=most).read()
            else:
                # Somebody may have read it already, and have kept it there.
                request.max_content_length = most
                raw = request.get_data(cache=False)
        except ClientDisconnected as error:
            raise _too_short() from error
        if len(raw) > self._largest:
            raise _too_large(self._largest)
        return raw


def refuse_declared_size(environ: dict[str, Any], largest: int) -> None:
    """Refuse a body that says itself that it is too large, before anything is read.

    :raises TinyBaseError: ``payload_too_large``.
    """
    size = _declared_size(environ)
    if size is not None and size > largest:
        raise _too_large(largest)


def _declared_size(environ: dict[str, Any]) -> int | None:
    """Return how long a body says that it is; ``None`` if it is as long as it comes."""
    declared = environ.get("CONTENT_LENGTH")
    if not declared:
        return None
    encoding = environ.get("HTTP_TRANSFER_ENCODING")
    if encoding is None and _PLAIN_SIZE.fullmatch(declared):
        return int(declared)
    return get_content_length(declared, encoding)


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    """Read a body that says how long it is; the stream may hand it out in parts."""
    try:
        raw = stream.read(size)
        while len(raw) < size:
            part = stream.read(size - len(raw))
            if not part:
                raise _too_short()
            raw += part
    except (OSError, ValueError) as error:
        # That is how servers tell that the client is gone.
        raise _too_short() from error
    return raw


def bounded(stream: BinaryIO, largest: int) -> BinaryIO:
    """Return a body that fails with ``payload_too_large`` when it is read beyond a size."""
    return cast("BinaryIO", BufferedReader(_Bounded(stream, largest)))


class _Bounded(RawIOBase):
    def __init__(self, stream: BinaryIO, largest: int) -> None:
        super().__init__()
        self._stream = stream
        self._largest = self._left = largest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        # One byte more tells that there would have been more.
        data = self._stream.read(min(len(buffer), self._left + 1))
        self._left -= len(data)
        if self._left < 0:
            raise _too_large(self._largest)
        buffer[: len(data)] = data
        return len(data)


def load_body(data: dict[str, Any], schema: Schema) -> dict[str, Any]:
    """Return the checked content of a body.

    :raises Invalid: for everything in it that does not fit, at once.
    """
    if isinstance(schema, AnyObject) and not schema.fields:
        return data
    try:
        loaded: dict[str, Any] = schema.load(data)
    except ValidationError as error:
        raise Invalid(load_faults(error.messages, "body")) from error
    return loaded


def _too_short() -> BadRequest:
    return BadRequest("The body is shorter than its Content-Length.")


def _too_large(largest: int) -> TinyBaseError:
    return TinyBaseError(
        f"The body exceeds maximum size of {largest} bytes.", code="payload_too_large"
    )


def _check_type(environ: dict[str, Any]) -> None:
    # A missing type is read as JSON; a form of a web page always states its own.
    given = environ.get("CONTENT_TYPE", "")
    if given not in _JSON and parse_options_header(given)[0].lower() not in _JSON:
        raise _unsupported("Send the body as Content-Type: application/json.")
    if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise _unsupported("Send the body uncompressed, without Content-Encoding.")


def _unsupported(detail: str) -> TinyBaseError:
    return TinyBaseError(detail, code="unsupported_media_type")


def _sizes(config: Config) -> Mapping[BodyLimit, int]:
    return {
        "body": config.limits.body_bytes,
        "batch": config.limits.batch_body_bytes,
        "functions": config.functions.max_payload_bytes,
    }
