"""Runs the scripts on the connection that :func:`tinybase.db.migrate.upgrade` has prepared.

That function holds the lock and the transaction, so nothing here begins or commits.
"""

from alembic import context

context.configure(connection=context.config.attributes["connection"], render_as_batch=True)
context.run_migrations()
