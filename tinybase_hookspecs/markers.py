"""The two pluggy markers of the project name ``tinybase``."""

from pluggy import HookimplMarker, HookspecMarker

hookspec = HookspecMarker("tinybase")
hookimpl = HookimplMarker("tinybase")
"""Mark a function of an extension as an implementation of a TinyBase hook."""
