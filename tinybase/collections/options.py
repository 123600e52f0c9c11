"""The options of a collection, as a client writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tinybase.collections.access import Operation, Rule
from tinybase.collections.messages import Location
from tinybase.errors import Fault, Invalid

OPTIONS: Location = ("body", "options")
LARGEST_EXTENSION_OPTION = 8 * 1024

_EXTENSION_OPTION = re.compile(r"x_[A-Za-z0-9_]{1,98}")
_UNKNOWN_FIELDS = ("reject", "drop")


@dataclass(frozen=True, slots=True)
class Options:
    """What the options of a collection mean; absent ones have their defaults."""

    access: Mapping[Operation, Rule] = field(default_factory=dict)
    require_if_match: bool = False
    drop_unknown_fields: bool = False


def parse_options(options: object) -> Options:
    """Return what options mean; ``None`` is no options.

    :raises Invalid: ``invalid_schema`` with every fault and the way to it.
    """
    if options is None:
        return Options()
    if not isinstance(options, Mapping):
        raise Invalid([Fault(OPTIONS, "Must be an object.", "invalid_type")], code="invalid_schema")
    faults = [fault for key, value in options.items() for fault in _faults(key, value)]
    if faults:
        raise Invalid(faults, code="invalid_schema")
    return Options(
        access={Operation(key): Rule(rule) for key, rule in options.get("access", {}).items()},
        require_if_match=options.get("require_if_match", False),
        drop_unknown_fields=options.get("unknown_fields") == "drop",
    )


def stored_options(options: Mapping[str, Any]) -> Options:
    """Return what options mean that are in the database, whatever brought them there.

    What is not understood fails closed: a rule that nobody knows admits admins only.
    """
    access = options.get("access")
    rules = access.items() if isinstance(access, Mapping) else ()
    known = {operation.value for operation in Operation}
    return Options(
        access={Operation(key): Rule.of(rule) for key, rule in rules if key in known},
        require_if_match=bool(options.get("require_if_match", False)),
        drop_unknown_fields=options.get("unknown_fields") == "drop",
    )


def _faults(key: str, value: object) -> list[Fault]:
    loc = (*OPTIONS, key)
    check = _CHECKS.get(key)
    if check:
        return check(loc, value)
    if not _EXTENSION_OPTION.fullmatch(key):
        known = ", ".join(_CHECKS)
        message = f"Not an option. The options are: {known}, and x_<name> for extensions."
        return [Fault(loc, message, "unknown_option")]
    if len(json.dumps(value, ensure_ascii=False).encode()) > LARGEST_EXTENSION_OPTION:
        return [Fault(loc, f"At most {LARGEST_EXTENSION_OPTION} bytes.", "too_long")]
    return []


def _access_faults(loc: Location, access: object) -> list[Fault]:
    if not isinstance(access, Mapping):
        message = "Must be an object of operations and their rules."
        return [Fault(loc, message, "invalid_type")]
    faults = []
    for operation, rule in access.items():
        if operation not in {known.value for known in Operation}:
            message = f"Not an operation. The operations are: {', '.join(Operation)}."
            faults.append(Fault((*loc, operation), message, "unknown_operation"))
        elif not isinstance(rule, str) or rule not in {known.value for known in Rule}:
            message = f"Not a rule. The rules are: {', '.join(Rule)}."
            faults.append(Fault((*loc, operation), message, "unknown_rule"))
    return faults


def _boolean_faults(loc: Location, value: object) -> list[Fault]:
    if isinstance(value, bool):
        return []
    return [Fault(loc, "Must be true or false.", "invalid_type")]


def _unknown_fields_faults(loc: Location, value: object) -> list[Fault]:
    if value in _UNKNOWN_FIELDS:
        return []
    return [Fault(loc, f"Must be one of: {', '.join(_UNKNOWN_FIELDS)}.", "not_allowed")]


_CHECKS: Mapping[str, Callable[[Location, object], list[Fault]]] = {
    "access": _access_faults,
    "require_if_match": _boolean_faults,
    "unknown_fields": _unknown_fields_faults,
}
