"""Note which extension guards the records of a collection."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("collections", sa.Column("guarded_by", sa.String(255)))


def downgrade() -> None:
    op.drop_column("collections", "guarded_by")
