"""Measures TinyBase side by side with PocketBase: ``python -m benchmarks --help``."""
