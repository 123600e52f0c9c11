"""Keep with a session what extensions claim about it."""

import sqlalchemy as sa
from alembic import op

from tinybase.db.types import OptionalJson

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tokens", sa.Column("claims", OptionalJson))


def downgrade() -> None:
    op.drop_column("tokens", "claims")
