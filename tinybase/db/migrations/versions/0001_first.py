"""Create every table."""

import sqlalchemy as sa
from alembic import op

from tinybase.db.types import Guid, Instant, Json

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "collections",
        sa.Column("id", Guid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("schema", Json, nullable=False),
        sa.Column("options", Json, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=50), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "extensions",
        sa.Column("id", Guid(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("is_enabled", sa.Boolean(), nullable=False),
        sa.Column("quarantine_reason", sa.Text()),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("status_reason", sa.Text()),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "rate_limits",
        sa.Column("key", sa.String(length=400), nullable=False),
        sa.Column("window_ends_at", Instant(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_rate_limits_window_ends_at", "rate_limits", ["window_ends_at"])
    op.create_table(
        "settings",
        sa.Column("key", sa.String(length=100), nullable=False),
        sa.Column("value", Json),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "users",
        sa.Column("id", Guid(), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("email_key", sa.String(length=512), nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=False),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("email_key"),
    )
    op.create_table(
        "function_calls",
        sa.Column("id", Guid(), nullable=False),
        sa.Column("function_name", sa.String(length=100), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("trigger_type", sa.String(length=16), nullable=False),
        sa.Column("trigger_id", Guid()),
        sa.Column("requested_by_user_id", Guid()),
        sa.Column("caller", sa.String(length=100), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("finished_at", Instant()),
        sa.Column("duration_ms", sa.Integer()),
        sa.Column("error_message", sa.Text()),
        sa.Column("error_type", sa.String(length=255)),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["requested_by_user_id"], ["users.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_function_calls_created_at", "function_calls", ["created_at"])
    op.create_index("ix_function_calls_function_name", "function_calls", ["function_name"])
    op.create_index(
        "ix_function_calls_requested_by_user_id", "function_calls", ["requested_by_user_id"]
    )
    op.create_index("ix_function_calls_running", "function_calls", ["status", "caller"])
    op.create_table(
        "records",
        sa.Column("id", Guid(), nullable=False),
        sa.Column("collection_id", Guid(), nullable=False),
        sa.Column("owner_id", Guid()),
        sa.Column("data", Json, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_records_newest", "records", ["collection_id", "created_at", "id"])
    op.create_index("ix_records_owner_id", "records", ["owner_id"])
    op.create_table(
        "tokens",
        sa.Column("id", Guid(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("user_id", Guid()),
        sa.Column("session_id", Guid()),
        sa.Column("name", sa.String(length=200)),
        sa.Column("description", sa.String(length=500)),
        sa.Column("scopes", Json, nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.Column("last_used_at", Instant()),
        sa.Column("revoked_at", Instant()),
        sa.Column("rotated_at", Instant()),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    op.create_index("ix_tokens_expires_at", "tokens", ["expires_at"])
    op.create_index("ix_tokens_kind", "tokens", ["kind"])
    op.create_index("ix_tokens_session_id", "tokens", ["session_id"])
    op.create_index("ix_tokens_user_id", "tokens", ["user_id"])
    op.create_table(
        "worker_metrics",
        sa.Column("process_id", Guid(), nullable=False),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.Column("handlers", Json, nullable=False),
        sa.PrimaryKeyConstraint("process_id"),
    )
    op.create_index("ix_worker_metrics_updated_at", "worker_metrics", ["updated_at"])


def downgrade() -> None:
    op.drop_table("worker_metrics")
    op.drop_table("tokens")
    op.drop_table("records")
    op.drop_table("function_calls")
    op.drop_table("users")
    op.drop_table("settings")
    op.drop_table("rate_limits")
    op.drop_table("extensions")
    op.drop_table("counters")
    op.drop_table("collections")
