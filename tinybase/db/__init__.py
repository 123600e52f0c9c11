"""The database: engine, session, models, units of work and migrations."""

from tinybase.db.session import Base, Session, db
from tinybase.db.types import format_time, utcnow
from tinybase.db.units import RawWork, Unit, Work
from tinybase.db.work import Database

__all__ = ["Base", "Database", "RawWork", "Session", "Unit", "Work", "db", "format_time", "utcnow"]
