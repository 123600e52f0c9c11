"""Remember which fields are asked for and have no index."""

import sqlalchemy as sa
from alembic import op

from tinybase.db.types import Guid, Instant

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unindexed_scans",
        sa.Column("collection_id", Guid(), nullable=False),
        sa.Column("field", sa.String(length=63), nullable=False),
        sa.Column("seen_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("collection_id", "field"),
    )


def downgrade() -> None:
    op.drop_table("unindexed_scans")
