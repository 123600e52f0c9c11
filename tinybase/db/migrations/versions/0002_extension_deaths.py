"""Count the processes that died in an extension."""

import sqlalchemy as sa
from alembic import op

from tinybase.db.types import Guid, Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "extension_deaths",
        sa.Column("id", Guid(), nullable=False),
        sa.Column("extension", sa.String(length=255), nullable=False),
        sa.Column("hook", sa.String(length=255), nullable=False),
        sa.Column("handler", sa.String(length=255), nullable=False),
        sa.Column("died_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_extension_deaths_extension", "extension_deaths", ["extension"])


def downgrade() -> None:
    op.drop_table("extension_deaths")
