"""Count requests beside the calls of handlers."""

import sqlalchemy as sa
from alembic import op

from tinybase.db.types import OptionalJson

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("worker_metrics", sa.Column("requests", OptionalJson))


def downgrade() -> None:
    op.drop_column("worker_metrics", "requests")
