from __future__ import annotations

import re
from pathlib import Path

from serving import Server


def test_the_demo_shows_an_extension_at_work_and_leaves_nothing(tmp_path: Path) -> None:
    environment = {
        "TMPDIR": str(tmp_path),
        # Whatever the environment says: the demo is no place for real data.
        "TINYBASE_DATABASE_URL": f"sqlite:///{tmp_path}/real.db",
    }

    with Server(tmp_path, command="demo", env=environment) as demo:
        counted = demo.request("POST", "/api/functions/demo_count", {}).json
        assert counted["result"] == {"notes": 3}
        found = re.search(r"Sign in as (\S+) with the password (\S+)", demo.output)
        assert found is not None
        token = demo.login(found[1], found[2])
        path = "/api/collections/notes/records"
        assert demo.request("POST", path, {"text": "Hi"}, token=token).status == 201
        demo.wait_for(lambda: "A new note: Hi" in demo.output)
        assert demo.stop() == 0

    assert list(tmp_path.iterdir()) == []
