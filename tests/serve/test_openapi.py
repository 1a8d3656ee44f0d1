"""The OpenAPI document is the recorded one, and schemathesis finds nothing wrong with what it promises.

After a change that is meant: python -m tests.serve.test_openapi
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from tests.serve.conftest import end, made
from tests.serve.fuzz import filled, fuzz, plain

SNAPSHOT = Path(__file__).with_name("openapi.json")


def text_of(folder: Path) -> str:
    return json.dumps(made(folder)[0].openapi(), indent=1, sort_keys=True) + "\n"


def test_the_document_is_the_recorded_one(tmp_path) -> None:
    assert json.loads(text_of(tmp_path)) == json.loads(SNAPSHOT.read_text("utf-8")), (
        "the API has changed: if that is meant, run `python -m tests.serve.test_openapi` and commit the difference"
    )


def test_every_operation_names_its_role_its_errors_and_snake_case_keys(tmp_path) -> None:
    document = made(tmp_path)[0].openapi()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert "x-role" in operation, where
            assert {"401", "422", "429", "500", "503"} <= set(operation["responses"]), where
            assert operation.get("description"), where
    for name, schema in document["components"]["schemas"].items():
        for key in schema.get("properties", {}):
            assert key == key.lower(), f"{name}.{key}"


@pytest.mark.slow
@pytest.mark.parametrize("role", ["admin", "identify"])
def test_schemathesis_finds_nothing(tmp_path, role) -> None:
    found = filled(tmp_path)
    try:
        done = fuzz(
            found, role, "--max-examples", "3", "--seed", "1", "--max-time", "20", "--phases", "coverage,fuzzing"
        )
    finally:
        end(found)
    assert done.returncode == 0, plain(done.stdout)[-6000:]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        SNAPSHOT.write_text(text_of(Path(folder)), encoding="utf-8")
