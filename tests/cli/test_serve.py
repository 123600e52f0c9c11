from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from serving import COMMAND, Answer, Server, clean_environment, free_port, tinybase

from tinybase.cores import of_worker

from .conftest import ADMIN, PASSWORD, Run

PROJECT = """\
import logging
import os
import time
from pathlib import Path

from tinybase.extensions import on_shutdown, on_startup
from tinybase.functions import register

log = logging.getLogger("somebody.else")
Path(__file__).with_name("importers").open("a").write(f"{os.getpid()}\\n")


@on_startup
def begin():
    print(f"started {os.getpid()}")
    log.debug("a debug line")
    log.info("an info line")


@on_shutdown
def end():
    print(f"stopped {os.getpid()}")
    time.sleep(float(os.environ.get("SLOW_SHUTDOWN", "0")))


@register(name="slow", auth="public")
def slow(payload: dict):
    time.sleep(payload["seconds"])
    return {"pid": os.getpid()}
"""

CORES = """\
import os

from tinybase.functions import register


@register(name="cores", auth="public")
def cores(payload: dict):
    return {"cores": sorted(os.sched_getaffinity(0))}
"""


MODELS = """\
import multiprocessing

import pydantic

print("way", multiprocessing.get_start_method(allow_none=True))
"""

SHARED_AT_LEAST = 20 * 2**20


@pytest.fixture
def project(prepared: Path, tmp_path: Path) -> Path:
    """Return an instance whose project tells what happens to it."""
    folder = tmp_path / "project"
    shutil.copytree(prepared, folder)
    (folder / "functions" / "project.py").write_text(PROJECT)
    return folder


@pytest.fixture
def server(project: Path) -> Iterator[Server]:
    """Return a server with two workers."""
    with Server(project, "--workers", "2") as running:
        yield running


class Request(threading.Thread):
    """A request to the slow function, in flight until it is joined."""

    def __init__(self, server: Server, seconds: float) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._seconds = seconds
        self.answer: Answer | None = None
        self.start()

    def run(self) -> None:
        with contextlib.suppress(OSError):
            self.answer = call_slow(self._server, self._seconds)


def call_slow(server: Server, seconds: float = 0) -> Answer:
    return server.request("POST", "/api/functions/slow", {"seconds": seconds})


def said(server: Server, function: str, payload: object = None) -> object:
    """Return the result of a function, or nothing while the server does not answer."""
    with contextlib.suppress(OSError):
        return server.request("POST", f"/api/functions/{function}", payload).json.get("result")
    return None


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


def shared_memory(pid: int) -> int:
    """Return how many bytes a process has in common with the one that it was forked from."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    (kib,) = (line.split()[1] for line in lines if line.startswith("Shared_Dirty:"))
    return int(kib) * 1024


def holds_pydantic(server: Server) -> bool:
    """Say whether the supervising process has imported it, for all workers to come."""
    return "pydantic_core" in Path(f"/proc/{server.process.pid}/maps").read_text()


def is_replaced(server: Server, victim: int, survivor: int) -> bool:
    return victim not in server.workers and len({survivor, *server.workers}) == 2


def wait_for_end(pids: list[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(is_alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_served_instance_answers_and_tells_its_address(server: Server) -> None:
    assert server.request("GET", "/health").json == {"status": "healthy"}
    assert f"at {server.url} (2 workers" in server.output
    assert server.login(ADMIN, PASSWORD).startswith("tba_")


def test_start_and_stop_hooks_run_in_every_worker_and_their_prints_are_seen(
    server: Server,
) -> None:
    server.wait_for(lambda: server.output.count("started ") == 2)
    workers = server.workers

    assert server.stop() == 0
    for pid in workers:
        assert f"started {pid}\n" in server.output
        assert f"stopped {pid}\n" in server.output


def test_the_supervising_process_imports_no_extension_and_holds_no_connection(
    server: Server, project: Path
) -> None:
    server.wait_for(lambda: server.output.count("started ") == 2)

    importers = (project / "functions" / "importers").read_text().split()
    assert sorted(map(int, importers)) == sorted(server.workers)
    links = Path(f"/proc/{server.process.pid}/fd").iterdir()
    assert not [link for link in links if "tinybase.db" in os.readlink(link)]
    assert not holds_pydantic(server)


def test_a_worker_shares_what_was_imported_before_it_and_so_does_the_next(project: Path) -> None:
    (project / "functions" / "models.py").write_text(MODELS)
    # How Python 3.14 starts processes unless it is told.
    later = "import multiprocessing as m; m.set_start_method('forkserver', force=True)\n"
    python = [COMMAND[0], "-c", f"{later}from tinybase.cli import main; main()"]

    with Server(project, "--workers", "1", python=python) as server:
        (first,) = server.workers
        assert shared_memory(first) > SHARED_AT_LEAST
        assert holds_pydantic(server)
        os.kill(first, signal.SIGKILL)
        server.wait_for(lambda: server.output.count("started ") == 2)
        (second,) = server.workers
        assert shared_memory(second) > SHARED_AT_LEAST

    # Extensions start processes of theirs as this Python does, and may choose another way.
    assert server.output.count("way None\n") == 2


@pytest.mark.parametrize(
    ("level", "debug", "info"), [("debug", 1, 1), ("info", 0, 1), ("error", 0, 0)]
)
def test_the_log_level_holds_for_the_loggers_of_extensions(
    project: Path, level: str, debug: int, info: int
) -> None:
    toml = project / "tinybase.toml"
    toml.write_text(toml.read_text().replace('"info"', f'"{level}"'))

    with Server(project, "--workers", "1") as server:
        server.wait_for(lambda: "started " in server.output)
        server.stop()

    assert server.output.count("somebody.else: a debug line") == debug
    assert server.output.count("somebody.else: an info line") == info


def test_sigterm_finishes_what_is_in_flight(server: Server) -> None:
    request = Request(server, 1.5)
    time.sleep(0.5)

    assert server.stop() == 0
    request.join(5)
    assert request.answer is not None
    assert request.answer.json["status"] == "succeeded"
    assert "Traceback" not in server.output


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_is_a_clean_end(server: Server, signum: signal.Signals) -> None:
    """A terminal does so with Ctrl-C, a service manager with SIGTERM."""
    request = Request(server, 1)
    time.sleep(0.3)

    os.killpg(server.process.pid, signum)

    assert server.process.wait(20) == 0
    request.join(5)
    assert request.answer is not None
    server.join()
    assert server.output.count("stopped ") == server.output.count("started ")
    assert "Traceback" not in server.output


def test_a_second_sigterm_does_not_wait(server: Server) -> None:
    Request(server, 20)
    time.sleep(0.5)
    workers = server.workers

    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    server.process.send_signal(signal.SIGTERM)

    assert server.process.wait(2) == 130
    wait_for_end(workers, 2)


def test_a_request_that_does_not_end_keeps_nobody_from_shutting_down(project: Path) -> None:
    hurried = "import tinybase.cli.worker as w; w._FINISH_SECONDS = 0.5\n"
    python = [COMMAND[0], "-c", f"{hurried}from tinybase.cli import main; main()"]

    with Server(project, "--workers", "1", python=python) as server:
        server.wait_for(lambda: "started " in server.output)
        Request(server, 30)
        time.sleep(0.5)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 10

    assert "Requests still ran after 0.5 s" in server.output
    assert server.output.count("\nstopped ") == 1


def test_a_shutdown_hook_that_hangs_is_left_behind(project: Path) -> None:
    environment = {"SLOW_SHUTDOWN": "60", "TINYBASE_HOOKS_SHUTDOWN_SECONDS": "1"}

    with Server(project, "--workers", "1", env=environment) as server:
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("delay", [0.4, 0.9, 1.4])
def test_a_signal_while_the_server_starts_is_not_lost(project: Path, delay: float) -> None:
    with subprocess.Popen(
        [*COMMAND, "-C", str(project), "serve", "--port", str(free_port())],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=clean_environment(),
        text=True,
    ) as process:
        time.sleep(delay)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=10)

    # Python ends itself by SIGINT, which a shell shows as 130 too, when an interruption that
    # was handled came in the middle of code that a string was compiled to.
    assert process.returncode in {0, 130, -signal.SIGTERM, -signal.SIGINT}
    assert "Traceback" not in output
    assert output.count("started ") == output.count("stopped ")


def test_a_killed_worker_is_replaced_every_time(server: Server) -> None:
    for _ in range(4):
        server.wait_for(lambda: len(server.workers) == 2)
        victim, survivor = server.workers
        os.kill(victim, signal.SIGKILL)
        server.wait_for(partial(is_replaced, server, victim, survivor), 5)
        server.wait_for(lambda: said(server, "slow", {"seconds": 0}) is not None)

    server.wait_for(lambda: all(f"started {pid}" in server.output for pid in server.workers))
    assert "was ended by signal 9; starting another one" in server.output
    assert server.stop() == 0


def test_workers_that_cannot_start_end_the_server(project: Path) -> None:
    (project / "functions" / "broken.py").write_text("import os; os._exit(3)\n")

    done = tinybase("serve", "--port", str(free_port()), "--workers", "1", instance=project)

    assert done.returncode == 1
    assert "ended with exit code 3" in done.stderr
    assert "The workers cannot start" in done.stderr


def test_workers_end_with_the_process_that_watches_them(project: Path, server: Server) -> None:
    server.wait_for(lambda: server.output.count("started ") == 2)
    workers = server.workers

    server.process.kill()
    server.process.wait()

    wait_for_end(workers, 10)
    assert server.output.count("stopped ") == 2


def test_a_server_that_was_killed_can_be_started_again_at_once(
    project: Path, server: Server
) -> None:
    server.process.kill()
    server.process.wait()

    with subprocess.Popen(
        [*COMMAND, "-C", str(project), "serve", "--port", str(server.port)],
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    ) as again:
        assert again.stdout is not None
        while " serves " not in (line := again.stdout.readline()):
            assert line
        again.terminate()
        assert again.wait(10) == 0


def test_hangup_replaces_the_workers(server: Server) -> None:
    server.wait_for(lambda: server.output.count("started ") == 2)
    before = server.workers

    server.process.send_signal(signal.SIGHUP)

    server.wait_for(lambda: not set(before) & set(server.workers), 20)
    server.wait_for(lambda: server.output.count("stopped ") == 2)
    assert call_slow(server).status == 200


def test_reload_serves_what_a_file_says_now(project: Path) -> None:
    path = project / "functions" / "say.py"
    source = (
        "from tinybase.functions import register\n\n\n"
        "@register(name='say', auth='public')\n"
        "def say():\n    return {word!r}\n"
    )
    path.write_text(source.format(word="before"))

    with Server(project, "--workers", "1", "--reload") as server:
        server.wait_for(lambda: said(server, "say") == "before")
        path.write_text(source.format(word="after!"))
        server.wait_for(lambda: said(server, "say") == "after!")
        path.write_text("syntax error")
        server.wait_for(lambda: "say.py" in server.output)
        path.write_text(source.format(word="again"))
        server.wait_for(lambda: said(server, "say") == "again")
        assert server.stop() == 0


def test_reload_watches_editable_extensions(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my-extension"
    folder.mkdir()
    manifest = '[extension]\nname = "my-extension"\nversion = "1.0.0"\n'
    (folder / "extension.toml").write_text(manifest)
    source = (
        "from tinybase.functions import register\n\n\n"
        "@register(name='say', auth='public')\n"
        "def say():\n    return {word!r}\n"
    )
    (folder / "__init__.py").write_text(source.format(word="before"))
    done = tinybase("extensions", "install", "-e", folder, "--yes", instance=project)
    assert done.returncode == 0, done.stderr

    with Server(project, "--workers", "1", "--reload") as server:
        server.wait_for(lambda: said(server, "say") == "before")
        (folder / "__init__.py").write_text(source.format(word="after!"))
        server.wait_for(lambda: said(server, "say") == "after!")


@pytest.mark.parametrize("reuse", [False, True])
def test_a_port_in_use_is_one_line(project: Path, reuse: bool) -> None:
    with socket.socket() as other:
        if reuse:
            # This is how workers listen; without a look they would share the port.
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])

        done = tinybase("serve", "--port", port, instance=project)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"Error: Port {port} is in use by another program. Choose another one with --port.\n"
    )


def test_an_address_of_somebody_else_is_one_line(run: Run, instance: Path) -> None:
    error = run("serve", "--host", "192.0.2.1", "--port", str(free_port()), code=1).err

    assert "Choose another --host" in error
    assert error.count("\n") == 1


def test_flags_win_over_the_configuration(project: Path) -> None:
    with Server(project, "--workers", "1", env={"TINYBASE_SERVER_WORKERS": "3"}) as server:
        assert len(server.workers) == 1


@pytest.mark.parametrize("is_pinned", [True, False])
def test_each_worker_answers_on_a_core_of_its_own_and_functions_run_on_any(
    project: Path, is_pinned: bool
) -> None:
    (project / "functions" / "cores.py").write_text(CORES)
    cores = sorted(os.sched_getaffinity(0))
    env = {"TINYBASE_SERVER_PIN_WORKERS": str(is_pinned).lower()}
    with Server(project, "--workers", str(len(cores)), env=env) as server:
        server.wait_for(lambda: server.output.count("started ") == len(cores))
        found = server.request("POST", "/api/functions/cores", {}).json
        kept = [cores_of_requests(pid) for pid in server.workers]

    assert found["result"]["cores"] == cores
    expected = [{core} for core in cores] if is_pinned else [set(cores)] * len(cores)
    assert sorted(kept, key=min) == expected


@pytest.mark.parametrize(
    ("workers", "usable", "expected"),
    [
        (2, (0, 1), [(0,), (1,)]),
        (3, (4, 7), [(4,), (7,), (4,)]),
        (2, (0, 1, 2), [(), ()]),
        (2, (), [(), ()]),
    ],
)
def test_workers_share_out_the_cores_unless_some_would_be_idle(workers, usable, expected) -> None:
    assert [of_worker(place, workers, usable) for place in range(workers)] == expected


def cores_of_requests(pid: int) -> set[int]:
    """Return the cores of a worker's main thread, and of those with which granian answers."""
    threads = [
        int(task.name)
        for task in Path(f"/proc/{pid}/task").iterdir()
        if task.name == str(pid) or (task / "comm").read_text().startswith("tokio")
    ]
    return set().union(*map(os.sched_getaffinity, threads))
