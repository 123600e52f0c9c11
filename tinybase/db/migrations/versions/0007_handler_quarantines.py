"""Remember which handlers are not called any more, and why."""

import sqlalchemy as sa
from alembic import op

from tinybase.db.types import Guid, Instant

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "handler_quarantines",
        sa.Column("id", Guid(), nullable=False),
        sa.Column("extension", sa.String(length=255), nullable=False),
        sa.Column("hook", sa.String(length=255), nullable=False),
        sa.Column("handler", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("quarantined_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_handler_quarantines_extension", "handler_quarantines", ["extension"])


def downgrade() -> None:
    op.drop_table("handler_quarantines")
