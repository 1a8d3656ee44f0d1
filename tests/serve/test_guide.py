"""The commands of docs/guides/server.md, as they stand there, against a running server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import pytest

from tests.serve import fake
from tests.serve.conftest import DEADLINE, ROOT

GUIDE = ROOT / "docs/guides/server.md"


@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("bash") is None, reason="needs curl and bash")
def test_the_walk_with_curl(serve, tmp_path) -> None:
    served = serve()
    for name, data in (
        ("anna-1", fake.picture(1, shot=1)),
        ("anna-2", fake.picture(1, shot=2)),
        ("party", fake.picture(1, 7)),
    ):
        (tmp_path / f"{name}.png").write_bytes(data)
    names = {"URL": served.url, "KEY": served.tokens["admin"], "PHOTOS": str(tmp_path)}
    commands = re.findall(r"```bash\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert len(commands) == 7
    told = []
    for command in commands:
        done = subprocess.run(
            ["bash", "-euc", command],
            env={**os.environ, "no_proxy": "127.0.0.1", **names},
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        told.append(json.loads(done.stdout[done.stdout.index("{") :]))
        names.update(_learned(done.stdout, told[-1]))
    me, enrolled, identified, assigned, undone, link, receipt = told
    assert me["role"] == "admin"
    assert (enrolled["used"], enrolled["refused"]) == (2, [])
    assert [face["decision"]["outcome"] for face in identified["faces"]] == ["accept", "reject"]
    assert assigned["n_faces"] == 3
    assert undone["undone_at"]
    assert (link["kind"], link["a"], link["b"]) == ("not_person", names["FACE"], names["ANNA"])
    assert receipt["removed"]["faces"] == 2
    assert receipt["verified"]
    assert receipt["beyond"]
    assert served.client("admin").get(f"/v1/people/{names['ANNA']}").status_code == 404


def _learned(text: str, answer: dict) -> dict[str, str]:
    """What the guide tells its reader to take from an answer."""
    found = {}
    if answer.get("faces") and answer["faces"][0].get("decision"):
        first = answer["faces"][0]
        found = {"FACE": first["face_id"], "ANNA": first["candidates"][0]["identity_id"]}
    header = re.search(r"^x-history-seq: (\d+)", text, re.IGNORECASE | re.MULTILINE)
    return {**found, "SEQ": header[1]} if header else found
