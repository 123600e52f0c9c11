"""The load: requests that wrk sends, and what came of them."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MISSING = (
    "wrk is not installed. Install it with `apt-get install wrk` (Debian, Ubuntu) or "
    "`brew install wrk` (macOS)."
)

_MARK = "RESULT "
_SCRIPT = """
local function lines(path)
  local found = {}
  for line in io.lines(path) do found[#found + 1] = line end
  return found
end

local paths, bodies = lines("%(paths)s"), lines("%(bodies)s")
local headers = {%(headers)s}
local number = 0

request = function()
  number = number + 1
  if %(once)s and number >= #paths then wrk.thread:stop() end
  local path = paths[(number - 1) %% #paths + 1]
  return wrk.format("%(method)s", path, headers, bodies[(number - 1) %% #bodies + 1])
end

done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '%(mark)s{"requests": %%d, "microseconds": %%d, "p50": %%d, "p99": %%d, ' ..
    '"refused": %%d, "broken": %%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """Requests of one kind, sent over a number of connections.

    :param paths: are requested in turn; :param once: each only once.
    :param bodies: are sent in turn. Their number should have no factor in common with that
        of the paths, so that an address gets another body each time.
    :param status: what a good answer has.
    """

    method: str
    paths: Sequence[str]
    connections: int
    status: int
    bodies: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    once: bool = False

    @property
    def all_headers(self) -> Mapping[str, str]:
        """Return the headers of every request."""
        return {**({"Content-Type": "application/json"} if self.bodies else {}), **self.headers}

    def write(self, folder: Path) -> Path:
        """Write the script by which wrk makes the requests, and what it reads, to a folder."""
        for name, lines in (("paths", self.paths), ("bodies", self.bodies)):
            Path(folder, name).write_text("".join(f"{line}\n" for line in lines))
        headers = (f"[{_lua(name)}]={_lua(value)}" for name, value in self.all_headers.items())
        script = folder / "load.lua"
        script.write_text(
            _SCRIPT
            % {
                "paths": folder / "paths",
                "bodies": folder / "bodies",
                "headers": ",".join(headers),
                "once": "true" if self.once else "false",
                "method": self.method,
                "mark": _MARK,
            }
        )
        return script


@dataclass(frozen=True)
class Outcome:
    """What came of a load; times in milliseconds, CPU time of the server in microseconds."""

    requests: int
    rate: float
    p50: float
    p99: float
    cpu: float = 0.0


def require() -> None:
    """Refuse to go on without wrk, with the way to get it."""
    if shutil.which("wrk") is None:
        raise RuntimeError(MISSING)


def probe(url: str, load: Load) -> Any:
    """Send the first request of a load and return its answer, if it is a good one."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    body = load.bodies[0].encode() if load.bodies else None
    try:
        connection.request(load.method, load.paths[0], body, dict(load.all_headers))
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    if answer.status != load.status:
        raise RuntimeError(
            f"{load.method} {load.paths[0]} is answered with {answer.status} instead of "
            f"{load.status}: {text[:500].decode(errors='replace')}"
        )
    return json.loads(text) if text else None


class Run:
    """A load while it is being sent."""

    def __init__(self, url: str, load: Load, seconds: float) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tinybase-bench-")
        script = load.write(Path(self._folder.name))
        self._load = load
        self._process = subprocess.Popen(
            [
                *("wrk", "--threads", "1", "--connections", str(load.connections)),
                *("--duration", f"{max(1, round(seconds))}s", "--timeout", "30s"),
                *("--script", str(script), url),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait(self) -> Outcome:
        """Return what came of it; an answer that is not good is an error."""
        with self._folder, self._process:
            output, _ = self._process.communicate()
        line = next((line for line in output.splitlines() if line.startswith(_MARK)), None)
        if line is None:
            raise RuntimeError(f"wrk failed: {output}")
        found = json.loads(line.removeprefix(_MARK))
        if found["refused"] or found["broken"]:
            raise RuntimeError(
                f"{self._load.method} {self._load.paths[0]}: of {found['requests']} requests "
                f"{found['refused']} were refused and {found['broken']} got no answer."
            )
        return Outcome(
            requests=found["requests"],
            rate=found["requests"] / (found["microseconds"] / 1e6),
            p50=found["p50"] / 1000,
            p99=found["p99"] / 1000,
        )


def _lua(text: str) -> str:
    """Write a text as Lua reads it: JSON's escapes are Lua's too, but for those of unicode."""
    return json.dumps(text, ensure_ascii=False)
