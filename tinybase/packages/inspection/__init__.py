"""What an extension does, read from its source; nothing of it is imported or run."""

from tinybase.packages.inspection.comparison import Changes, compare
from tinybase.packages.inspection.findings import Inspection, Power
from tinybase.packages.inspection.reading import inspect_flat, inspect_project, inspect_wheel

__all__ = [
    "Changes",
    "Inspection",
    "Power",
    "compare",
    "inspect_flat",
    "inspect_project",
    "inspect_wheel",
]
