"""Collections of schema-checked JSON records: who may see them, and how they are stored."""
