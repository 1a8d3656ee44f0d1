"""The main job on real photographs: enroll people, name one of them, refuse a stranger.

Run it with `make demo`. `PHOTOS=folder make demo` uses your own: one folder per person, at least two photos each; the
last photo of each person is the probe, and the last person is not enrolled, so that there is a stranger.

Without PHOTOS it takes photographs that packages ship: the portrait of Eileen Collins (NASA, public domain) from
scikit-image, and four photographs by the White House (public domain) from the tests of face_recognition, which are
fetched once and kept in `demo-out/shipped`.
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
from vultus.zoo.fetch import offline

OUT = Path("demo-out")
KEPT = Path(__file__).resolve().parents[1] / "demo-out" / "shipped"
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
    """Lay out the photographs that packages ship as `people/NAME/*.jpg` and `probes/*.jpg`.

    Args:
        folder: created where it is missing.

    Raises:
        InputError: if the source package cannot be fetched, or a photograph is not the expected one.
    """
    import skimage.data

    if not all(_is(KEPT / name, sha256) for name, sha256 in SHIPPED.values()):
        _fetch()
    for place, (name, _) in SHIPPED.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(KEPT / name, folder / place)
    astronaut = folder / "people/Eileen Collins/portrait.png"
    astronaut.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(skimage.data.__file__).parent / "astronaut.png", astronaut)


def _is(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _fetch() -> None:
    """Fetch the source package with pip and keep its four photographs."""
    advice = "run again with a network, or use your own photos: PHOTOS=folder make demo"
    if offline():
        raise InputError(f"the photographs of {SDIST} are not here and VULTUS_OFFLINE forbids the network; {advice}")
    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=KEPT) as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--no-binary", "face_recognition", "--dest", scratch, SDIST]
        pip = subprocess.run(command, capture_output=True, text=True, check=False)
        archives = list(Path(scratch).glob("*.tar.gz"))
        if pip.returncode or not archives:
            raise InputError(
                f"expected to fetch {SDIST} for its photographs, got: {pip.stderr.strip()[-300:]}; {advice}"
            )
        with tarfile.open(archives[0]) as archive:
            for name, sha256 in SHIPPED.values():
                member = archive.extractfile(f"face_recognition-1.3.0/tests/test_images/{name}")
                content = member.read() if member else b""
                if hashlib.sha256(content).hexdigest() != sha256:
                    raise InputError(f"{name} of {SDIST}: expected sha256 {sha256}, got other content; {advice}")
                Path(scratch, name).write_bytes(content)
                os.replace(Path(scratch, name), KEPT / name)


def own_photographs(source: Path, folder: Path) -> None:
    """Split the user's folder: the last person is the stranger, the last photo of everybody is a probe.

    Args:
        source: one folder of photos per person.
        folder: where `people/NAME/*` and `probes/*` are laid out; a stranger's probe sorts first.

    Raises:
        InputError: if there are not at least two people with at least two photos each.
    """
    if not source.is_dir():
        raise InputError(f"PHOTOS={source}: expected a folder with one folder of photos per person, found none")
    if folder.resolve() in (source.resolve(), *source.resolve().parents):
        raise InputError(f"PHOTOS={source}: the demo writes into {folder}; expected a folder outside of it")
    folders = sorted(p for p in source.iterdir() if p.is_dir() and not p.name.startswith("."))
    people = [p for p in folders if len(list_pictures(p)) >= 2]
    if len(people) < 2:
        raise InputError(
            f"PHOTOS={source}: expected folders of at least two people with at least two photos each, "
            f"got {len(people)} such folders"
        )
    clear(folder)
    (folder / "probes").mkdir(parents=True)
    for person in people:
        *known, probe = list_pictures(person)
        label = "0-a-stranger" if person is people[-1] else f"1-{person.name}"
        shutil.copyfile(probe, folder / "probes" / f"{label}-{probe.name}")
        if person is not people[-1]:
            (folder / "people" / person.name).mkdir(parents=True)
            for i, photo in enumerate(known):  # a number: two folders of one person may hold photos of one name
                shutil.copyfile(photo, folder / "people" / person.name / f"{i}-{photo.name}")


def clear(folder: Path) -> None:
    """Remove what an earlier run wrote, but not the photographs that were fetched."""
    for part in ("people", "probes", "annotated"):
        shutil.rmtree(folder / part, ignore_errors=True)
    for part in ("people.db", "people.db-wal", "people.db-shm"):
        (folder / part).unlink(missing_ok=True)


def step(*words: str) -> None:
    """Show a command, run it, and stop at the first that fails."""
    print(f"\n$ vultus {shlex.join(words)}", flush=True)
    code = vultus(words)
    if code:
        sys.exit(code)


def main() -> None:
    """Enroll, identify, refuse, compare."""
    photos = os.environ.get("PHOTOS")
    try:
        if photos:
            own_photographs(Path(photos).expanduser(), OUT)
        else:
            clear(OUT)
            shipped_photographs(OUT)
    except (VultusError, OSError) as error:
        sys.exit(f"demo: {error}")
    gallery = ("--gallery", str(OUT / "people.db"))
    probes = [str(p) for p in list_pictures(OUT / "probes")]
    step("enroll", str(OUT / "people"), *gallery)
    step("identify", *probes, *gallery, "--draw", str(OUT / "annotated"))
    first = str(list_pictures(sorted((OUT / "people").iterdir())[0])[0])
    step("verify", first, probes[1])
    step("verify", first, probes[0])
    print(f"\nAnnotated photographs are in {OUT / 'annotated'}.")


if __name__ == "__main__":
    main()
