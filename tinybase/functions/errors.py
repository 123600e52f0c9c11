"""How a call can fail beside the function's own exception.

The names of the classes are part of the REST contract: a failed call carries the class
name of its exception as ``error_type``. A missed deadline is Python's ``TimeoutError``.
"""


class ValidationError(Exception):
    """The payload breaks the input model."""


class OutputValidationError(Exception):
    """The function returned something that its output model, or JSON, does not allow."""


class ResultSizeError(Exception):
    """The function returned more than a result may be."""
