"""The main job on real photographs: enroll two people, name one of them, refuse a stranger.

Run it with `make demo`. `PHOTOS=folder make demo` uses your own: one folder per person, at least two photos each; the
last photo of each person is the probe, and the last person is not enrolled, so that there is a stranger.

Without PHOTOS it takes photographs that packages ship: the portrait of Eileen Collins (NASA, public domain) from
scikit-image, and four photographs by the White House (public domain) from the tests of face_recognition.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from vultus.cli.__main__ import main as vultus
from vultus.errors import InputError, VultusError
from vultus.io.images import list_pictures

OUT = Path("demo-out")
SDIST = "face_recognition==1.3.0"
SHIPPED = {  # where it goes: member of the source package, sha256
    "people/Barack Obama/portrait.jpg": (
        "obama.jpg",
        "0930e3aa8cae5920329c0c8cbc6a2ab70f47b0e67b432875beaa95cbf7e741f6",
    ),
    "people/Barack Obama/speech.jpg": (
        "obama2.jpg",
        "a7efcc907375274796f39646510704aa86672d59f6d5469d69af3c85590976a6",
    ),
    "probes/blue-room.jpg": ("obama3.jpg", "76ac6bf97c36dc2da0ad16a537d6a5ac1b10f48d49aac29a0cca9a17cdbc3ca3"),
    "probes/a-stranger.jpg": ("biden.jpg", "3c17508bb91554c637a2eabddfae790e5bb1caba93130814fc2ac50be9760c4c"),
}


def shipped_photographs(folder: Path) -> None:
    """Lay out the photographs that packages ship as `people/NAME/*.jpg` and `probes/*.jpg`; fetched once.

    Args:
        folder: created where it is missing.

    Raises:
        InputError: if the source package cannot be fetched, or a photograph is not the expected one.
    """
    import skimage.data

    astronaut = folder / "people/Eileen Collins/portrait.png"
    astronaut.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(skimage.data.__file__).parent / "astronaut.png", astronaut)
    if all((folder / place).is_file() for place in SHIPPED):
        return
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        pip = subprocess.run(
            [*command, "--no-binary", ":all:", "--dest", scratch, SDIST], capture_output=True, text=True, check=False
        )
        archives = list(Path(scratch).glob("*.tar.gz"))
        if pip.returncode or not archives:
            raise InputError(
                f"expected to fetch {SDIST} for its photographs, got: {pip.stderr.strip()[-300:]}; "
                "run again with a network, or use your own photos: PHOTOS=folder make demo"
            )
        with tarfile.open(archives[0]) as archive:
            for place, (name, sha256) in SHIPPED.items():
                member = archive.extractfile(f"face_recognition-1.3.0/tests/test_images/{name}")
                content = member.read() if member else b""
                if hashlib.sha256(content).hexdigest() != sha256:
                    raise InputError(f"{name} of {SDIST}: expected sha256 {sha256}, got other content")
                (folder / place).parent.mkdir(parents=True, exist_ok=True)
                (folder / place).write_bytes(content)


def own_photographs(source: Path, folder: Path) -> None:
    """Split the user's folder: last person is the stranger, last photo of everybody else is the probe."""
    people = sorted(p for p in source.iterdir() if p.is_dir() and len(list_pictures(p)) >= 2)
    if len(people) < 2:
        raise InputError(
            f"PHOTOS={source}: expected folders of at least two people with at least two photos each, "
            f"got {len(people)} such folders"
        )
    for person in people:
        *known, probe = list_pictures(person)
        (folder / "probes").mkdir(parents=True, exist_ok=True)
        label = "a-stranger" if person is people[-1] else person.name
        shutil.copyfile(probe, folder / "probes" / f"{label}-{probe.name}")
        if person is not people[-1]:
            (folder / "people" / person.name).mkdir(parents=True, exist_ok=True)
            for photo in known:
                shutil.copyfile(photo, folder / "people" / person.name / photo.name)


def step(*words: str) -> None:
    """Show a command, run it, and stop at the first that fails."""
    print(f"\n$ vultus {shlex.join(words)}", flush=True)
    code = vultus(words)
    if code:
        sys.exit(code)


def main() -> None:
    """Enroll, identify, refuse, compare."""
    photos = os.environ.get("PHOTOS")
    for part in ("people.db", "people.db-wal", "people.db-shm"):
        (OUT / part).unlink(missing_ok=True)
    try:
        if photos:
            shutil.rmtree(OUT, ignore_errors=True)
            own_photographs(Path(photos), OUT)
        else:
            shipped_photographs(OUT)
    except VultusError as error:
        sys.exit(f"demo: {error}")
    gallery = ("--gallery", str(OUT / "people.db"))
    probes = [str(p) for p in list_pictures(OUT / "probes")]
    step("enroll", str(OUT / "people"), *gallery)
    step("identify", *probes, *gallery, "--draw", str(OUT / "annotated"))
    person = sorted((OUT / "people").iterdir())[0]
    step("verify", str(list_pictures(person)[0]), probes[-1])
    step("verify", str(list_pictures(person)[0]), probes[0])
    print(f"\nAnnotated photographs are in {OUT / 'annotated'}.")


if __name__ == "__main__":
    main()
