"""The database: engine, session, models, units of work and migrations."""

from tinybase.db.session import Base, Session, db
from tinybase.db.types import format_time, utcnow
from tinybase.db.work import Database, RawWork, Unit, Work

__all__ = ["Base", "Database", "RawWork", "Session", "Unit", "Work", "db", "format_time", "utcnow"]
