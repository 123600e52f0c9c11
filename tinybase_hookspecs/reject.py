"""The one exception that a hook may raise on purpose."""

from __future__ import annotations


class Reject(Exception):
    """Refuse what the hook was asked about.

    Honoured by the hooks that are asked before something happens, and by
    ``tinybase_on_function_call``; raised by a hook that is told of a fact, it is an ordinary
    error of its handler.

    :param detail: a sentence for the person whose request is refused.
    :param status: the HTTP status of the answer, 400 to 499.
    :param code: the stable, machine-readable code of the answer.
    :raises ValueError: for a status outside 400 to 499.
    """

    def __init__(self, detail: str, status: int = 422, code: str = "rejected_by_extension") -> None:
        if not 400 <= status <= 499:
            raise ValueError(f"Reject takes a status from 400 to 499, not {status}")
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.code = code
