"""What extensions bring to HTTP: their routes, as an application for each name."""

from tinybase.web.mounting import HOOK, Mounts, check_blueprint
from tinybase.web.site import Route, Site, View, no_content

__all__ = ["HOOK", "Mounts", "Route", "Site", "View", "check_blueprint", "no_content"]
