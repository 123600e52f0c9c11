"""The Alembic scripts that bring a database to the version of this TinyBase."""
