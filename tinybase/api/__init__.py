"""The REST API: the one place that knows HTTP."""
