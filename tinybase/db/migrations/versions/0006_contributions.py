"""Keep the settings of extensions, and which collections belong to them."""

import sqlalchemy as sa
from alembic import op

from tinybase.db.types import Guid, Instant, Json

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "extension_settings",
        sa.Column("extension", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("value", Json, nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("extension", "name"),
    )
    op.create_table(
        "extension_collections",
        sa.Column("collection_id", Guid(), nullable=False),
        sa.Column("extension", sa.String(length=255), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("collection_id"),
    )
    op.create_index("ix_extension_collections_extension", "extension_collections", ["extension"])


def downgrade() -> None:
    op.drop_table("extension_collections")
    op.drop_table("extension_settings")
