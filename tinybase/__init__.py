"""TinyBase: a backend in a box for Python people, made to be extended.

Importing this package is cheap on purpose: extensions, the build backend and the
command line import parts of it where no Flask application is wanted.
"""

from tinybase._version import __version__

__all__ = ["__version__"]
