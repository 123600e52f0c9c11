"""The version of TinyBase, kept apart so that reading it imports nothing."""

__version__ = "0.4.0"
