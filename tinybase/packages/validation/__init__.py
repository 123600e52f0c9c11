"""``tinybase extensions validate``: what is wrong with an extension, before anybody installs it.

Its code is read, never run. The rules are those of the modules that will judge it later:
the manifest's, the decorators' and the contract's own.
"""

from tinybase.packages.validation.findings import Finding, Report, Severity
from tinybase.packages.validation.validate import validate

__all__ = ["Finding", "Report", "Severity", "validate"]
