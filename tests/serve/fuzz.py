"""schemathesis over the OpenAPI document of a running server, with a key of every role.

    python -m tests.serve.fuzz [--seconds 600] [--examples 50] [--seed 1] [--role admin]...

The test beside this file runs the short form. Every check of schemathesis is on.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.serve import fake
from tests.serve.conftest import DEADLINE, ROOT, Process, end, process_of

ROLES = ("admin", "enroll", "identify", "read")


def fuzz(found: Process, role: str, *words: str, seconds: float = 600.0) -> subprocess.CompletedProcess[str]:
    """Run schemathesis once; exit code 0 when nothing failed."""
    _, token = found.keys.create(f"{role} of the fuzzer", role)  # type: ignore[arg-type]
    config = found.folder / "schemathesis.toml"
    # 413 refuses too much, whether in bytes, in parts of a form or in pictures: that is a refusal as good as 422.
    refusals = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429", "5xx"]
    config.write_text(f"[reports]\n[checks.negative_data_rejection]\nexpected-statuses = {json.dumps(refusals)}\n")
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "--config-file",
        str(config),
        "run",
        f"{found.url}/v1/openapi.json",
    ]
    command += ["--url", found.url, "-H", f"Authorization: Bearer {token}", "--checks", "all", "--no-color"]
    command += ["--generation-database", "none", "--continue-on-failure", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.serve.schema_hooks"}
    return subprocess.run(
        command, cwd=found.folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )


def filled(folder: Path) -> Process:
    """A server with a few people, unknown faces and a link."""
    found = process_of(folder)
    with found.client() as client:
        for name, person in (("Anna", 1), ("Ben", 2), ("Cleo", 3)):
            files = [("images", fake.picture(person, shot=shot)) for shot in range(3)]
            client.post("/v1/people", data={"name": name}, files=files).raise_for_status()
        client.post("/v1/faces", files={"images": fake.picture(4, 5)}, timeout=DEADLINE).raise_for_status()
    return found


def plain(text: str) -> str:
    """Without the bytes of pictures that a failure quotes."""
    return "\n".join(
        line if line.isprintable() and len(line) < 1500 else f"{line[:200]!a} ..." for line in text.splitlines()
    )


def main() -> int:
    """Run it at length."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--examples", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--role", action="append", choices=ROLES, default=[])
    args = parser.parse_args()
    code = 0
    for role in args.role or ROLES:
        with tempfile.TemporaryDirectory() as folder:
            found = filled(Path(folder))
            try:
                words = (
                    "--max-examples",
                    str(args.examples),
                    "--seed",
                    str(args.seed),
                    "--max-time",
                    str(args.seconds),
                )
                done = fuzz(found, role, *words, seconds=3 * args.seconds + 600)
            finally:
                end(found)
        print(f"== {role}: exit {done.returncode}\n{plain(done.stdout)[-30000:]}\n{done.stderr[-2000:]}")
        code = code or done.returncode
    return code


if __name__ == "__main__":
    raise SystemExit(main())
