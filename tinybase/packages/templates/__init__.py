"""The files of new extensions, with ``$words`` left open."""
