import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.clean.crowd import Leaf, Lookup, unit
from vultus.errors import InputError, StoreError
from vultus.io import images
from vultus.io.datasets import csv_table, folder
from vultus.sim import crawls
from vultus.train.clean.collector import Collector
from vultus.train.clean.dedup import HeldOut
from vultus.train.clean.pages import FilePage, Page, folder_pages

ANN, BOB, CYD, STRANGER = np.eye(4, dtype=np.float32)


def collected(leaves, **settings):
    settings = {"threshold": 0.5, "min_pictures": 1, **settings}
    return Collector(leaves, Lookup(list(leaves)), **settings).run()


def lines(report):
    return {(a.path, a.subject): (a.action, a.face, a.why) for a in report.actions}


PORTRAITS = [
    Leaf("ann", ("Ann",), [ANN], "Ann"),
    Leaf("bob", ("Bob",), [BOB], "Bob"),
    Leaf("cyd", ("Cyd",), [CYD], "Cyd"),
]


def test_every_kind_of_claim_by_hand():
    report = collected(
        [
            *PORTRAITS,
            Leaf("alone", ("Ann",), [ANN]),
            Leaf("wrong tag", ("Ann",), [BOB]),
            Leaf("group", ("Ann", "Bob"), [STRANGER, BOB, ANN]),
            Leaf("one is not there", ("Ann", "Cyd"), [CYD, STRANGER]),
            Leaf("nobody", ("Bob",), []),
            Leaf("cut", ("Bob",), [], broken=True),
            Leaf("no names", (), [ANN]),
            Leaf("twice named", ("Bob", "Bob"), [BOB]),
        ]
    )
    assert lines(report) == {
        ("ann", "Ann"): ("keep", 0, ""),
        ("bob", "Bob"): ("keep", 0, ""),
        ("cyd", "Cyd"): ("keep", 0, ""),
        ("alone", "Ann"): ("keep", 0, ""),
        ("wrong tag", "Ann"): ("reject", -1, "no face is like the person"),
        ("group", "Ann"): ("keep", 2, ""),
        ("group", "Bob"): ("keep", 1, ""),
        ("one is not there", "Cyd"): ("keep", 0, ""),
        ("one is not there", "Ann"): ("reject", -1, "no face is like the person"),
        ("nobody", "Bob"): ("reject", -1, "no face was found"),
        ("cut", ""): ("fault", -1, "cut: expected a picture, got something else"),
        ("twice named", "Bob"): ("keep", 0, ""),
    }
    box = next(a for a in report.kept() if a.path == "group" and a.subject == "Ann")
    assert (box.left, box.top, box.right, box.bottom, box.likeness) == (20, 0, 28, 8, 1.0)
    assert report.counts() == {
        "keep": 8, "reject: no face is like the person": 2,
        "fault: cut: expected a picture, got something else": 1, "reject: no face was found": 1,
    }  # fmt: skip


def test_one_face_is_not_given_to_two_names():
    both = unit([1, 0.9, 0, 0])
    report = collected([*PORTRAITS, Leaf("pair", ("Ann", "Bob"), [both])])
    assert lines(report)[("pair", "Ann")][0] == "keep"
    assert lines(report)[("pair", "Bob")] == ("reject", -1, "another name fits the face better")


def test_a_person_becomes_better_known():
    """The last picture is unlike the portrait, but like what was accepted before."""
    step, far = unit([1, 0.9, 0, 0]), unit([1, 2.4, 0, 0])
    assert far @ ANN < 0.5 < far @ unit(ANN + step)
    leaves = [
        Leaf("ann", ("Ann",), [ANN], "Ann"),
        Leaf("near", ("Ann",), [step]),
        Leaf("far", ("Ann", "Bob"), [far, CYD]),
    ]
    assert lines(collected(leaves))[("far", "Ann")][0] == "keep"
    assert lines(collected([leaves[0], leaves[2]]))[("far", "Ann")][0] == "reject"


def test_of_people_who_share_a_name_whoever_is_more_like():
    people = {"ann1": "Ann Lee", "ann2": "Ann Lee"}
    report = collected(
        [
            Leaf("p1", ("Ann Lee",), [ANN], "ann1"),
            Leaf("p2", ("Ann Lee",), [BOB], "ann2"),
            Leaf("x", ("Ann Lee",), [unit([0.2, 1, 0, 0])]),
            Leaf("y", ("Ann Lee", "Zoe"), [CYD, unit([1, 0.2, 0, 0])]),
        ],
        people=people,
    )
    assert {(a.path, a.subject, a.action) for a in report.actions} == {
        ("p1", "ann1", "keep"), ("p2", "ann2", "keep"), ("x", "ann2", "keep"), ("y", "ann1", "keep"),
    }  # fmt: skip
    assert report.people == ("ann1", "ann2")


def test_without_a_portrait_the_face_that_most_agree_on():
    own = [unit(ANN + 0.3 * other) for other in (BOB, CYD, STRANGER, -BOB)]
    leaves = [Leaf(f"{k}", ("Ann",), [v]) for k, v in enumerate([BOB, *own, CYD])]
    report = collected(leaves)
    assert [a.path for a in report.kept()] == ["1", "2", "3", "4"]
    few = collected([Leaf("0", ("Ann",), [ANN]), Leaf("1", ("Ann",), [BOB])])
    assert {a.why for a in few.actions} == {"the person has no picture to start from"}
    assert few.people == ()


def test_a_portrait_with_several_faces_is_of_the_largest():
    boxes = np.array([[0, 0, 5, 5], [10, 0, 20, 20]], np.float32)
    report = collected([Leaf("ann", ("Ann",), [BOB, ANN], "Ann", boxes=boxes), Leaf("x", ("Ann",), [ANN])])
    assert [(a.path, a.face) for a in report.kept()] == [("ann", 1), ("x", 0)]


def test_a_portrait_is_its_person_s_alone():
    between = unit([1, 1, 0, 0])
    people = {"ann1": "Ann", "ann2": "Ann", "bob": "Bob"}
    leaves = [
        Leaf("p1", ("Ann", "Bob"), [between, CYD], "ann1"),  # like Bob, but said to be Ann; and somebody by her side
        Leaf("p2", ("Ann",), [CYD], "ann2"),
        Leaf("bob", ("Bob",), [BOB], "bob"),
        Leaf("another portrait", ("Bob",), [ANN], "bob"),  # the first counts
    ]
    report = collected(leaves, people=people)
    boxes = np.array([[0, 0, 9, 9], [10, 0, 12, 2]], np.float32)
    again = collected([Leaf("p1", ("Ann", "Bob"), [between, CYD], "ann1", boxes=boxes), *leaves[1:]], people=people)
    for made in (report, again):
        assert [(a.path, a.face, a.subject) for a in made.kept()] == [
            ("p1", 0, "ann1"), ("p2", 0, "ann2"), ("bob", 0, "bob"),
        ]  # fmt: skip
    assert lines(report)[("p1", "bob")][0] == "reject"
    assert lines(report)[("another portrait", "bob")][0] == "reject"


def test_a_name_that_stands_there_twice_is_one_claim():
    report = collected([*PORTRAITS, Leaf("two", ("Bob", "Bob"), [unit([0, 1, 0.5, 0]), BOB, unit([0.5, 1, 0, 0])])])
    assert [(a.face, a.action) for a in report.actions if a.path == "two"] == [(1, "keep")]
    none = collected([*PORTRAITS, Leaf("none", ("Bob", "Bob"), [ANN])])
    assert len([a for a in none.actions if a.path == "none"]) == 1


def test_pages_with_one_name_are_believed_before_those_with_two():
    """A face between Ann and Bob is Bob's once Bob is known better; asked about at once, it would be Ann's."""
    face, other = unit([1.05, 1, 0, 0]), unit([0.75, 1, 0, 0])
    leaves = [*PORTRAITS[:2], Leaf("both", ("Ann", "Bob"), [face]), Leaf("Bob", ("Bob",), [other])]
    assert face @ ANN > face @ BOB
    assert face @ unit(BOB + other) > face @ ANN
    assert lines(collected(leaves))[("both", "Bob")][0] == "keep"


def test_pictures_that_are_there_again_are_dropped_and_the_larger_face_is_kept():
    large = np.array([[0, 0, 16, 16]], np.float32)
    leaves = [
        PORTRAITS[0],
        Leaf("small", ("Ann",), [ANN], seed=5),
        Leaf("large", ("Ann",), [ANN], seed=5, size=64, boxes=large),
        Leaf("other", ("Ann",), [ANN], seed=6),
        Leaf("of Bob", ("Bob",), [BOB], "Bob", seed=5),
    ]
    report = collected(leaves)
    assert lines(report)[("small", "Ann")] == ("reject", 0, "repeats large")
    assert [a.path for a in report.kept()] == ["ann", "large", "other", "of Bob"]
    assert len(collected(leaves, near_bits=None).kept()) == 5


def test_people_of_few_pictures_and_of_the_test_set_are_dropped_as_a_whole():
    more = [Leaf(f"ann {k}", ("Ann",), [ANN]) for k in range(3)] + [Leaf(f"bob {k}", ("Bob",), [BOB]) for k in range(3)]
    report = collected([*PORTRAITS, *more], min_pictures=4, held_out=HeldOut(("Bobb",), edits=1))
    assert report.people == ("Ann", "Bob")  # three letters allow no edit
    report = collected([*PORTRAITS, *more], min_pictures=4, held_out=HeldOut(("BOB",)))
    assert report.people == ("Ann",)
    assert {a.why for a in report.actions if a.subject == "Bob"} == {"0 edits from 'BOB' of the test set"}
    assert lines(report)[("cyd", "Cyd")] == ("drop", 0, "fewer than 4 pictures are kept")


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_the_order_of_pages_and_faces_decides_nothing(seed):
    rng = np.random.default_rng(seed)
    leaves = list(PORTRAITS)
    for k in range(12):
        shown = rng.permutation(3)[: rng.integers(1, 4)]
        tags = rng.permutation(3)[: rng.integers(0, 4)]
        vectors = [unit(np.eye(4)[s] + 0.2 * rng.standard_normal(4)) for s in shown]
        leaves.append(Leaf(f"page {k}", tuple(np.array(["Ann", "Bob", "Cyd"])[tags].tolist()), vectors))
    once = collected(leaves)
    turned = [
        Leaf(x.name, x.tags[::-1], x.vectors[::-1], x.portrait_of) for x in (leaves[i] for i in rng.permutation(15))
    ]
    again = collected(turned)
    faces = {leaf.name: len(leaf.vectors) for leaf in leaves}
    assert {(a.path, a.face, a.subject) for a in once.kept()} == {
        (a.path, faces[a.path] - 1 - a.face, a.subject) for a in again.kept()
    }
    assert once.people == again.people
    for a in once.kept():
        assert a.likeness > 0.5
    assert len({(a.path, a.face) for a in once.kept()}) == len(once.kept())


def test_with_vectors_that_know_everybody_a_simulated_crawl_comes_out_as_planted():
    crawl = crawls.pages(8, 12, 3, crawls.CrawlWorld(namesakes=0.5), size=32)
    rng = np.random.default_rng(0)
    vector: dict[int, np.ndarray] = {}
    leaves = []
    for entry in crawl.entries:
        for person in entry.people:
            vector.setdefault(person, unit(rng.standard_normal(64)))
        portrait = entry.path.split("_")[0] if entry.path.endswith("_000.png") else None
        leaves.append(Leaf(entry.path, entry.tags, [vector[p] for p in entry.people], portrait))
    report = collected(leaves, people={e.key: e.name for e in crawl.entities}, near_bits=None)
    names = {e.key: e.name for e in crawl.entities}
    expected = set()
    for entry in crawl.entries:
        for face, key in enumerate(entry.entities):
            # of two namesakes on one page that names them once one is kept; which one is not looked at here
            if key and names[key] in entry.tags and sum(names.get(k) == names[key] for k in entry.entities) == 1:
                expected.add((entry.path, face, key))
    kept = {(a.path, a.face, a.subject) for a in report.kept()}
    assert expected <= kept
    shown = {entry.path: entry.entities for entry in crawl.entries}
    assert all(shown[path][face] == key for path, face, key in kept)
    assert len(kept) > len(expected) > 90


def test_nothing_is_read_twice_and_progress_counts_pages():
    encoder = Lookup(list(PORTRAITS))
    told = []
    Collector(iter(PORTRAITS), encoder, threshold=0.5, min_pictures=1).run(told.append)
    assert encoder.asked == ["ann", "bob", "cyd"]
    assert told == [1, 2, 3]
    assert collected([]).actions == ()


def test_a_folder_of_folders_is_cleaned_without_touching_it(tmp_path):
    leaves = []
    for who, vectors in {"Ann": [ANN, ANN, ANN, BOB], "Bob": [BOB] * 3}.items():
        (tmp_path / "raw" / who).mkdir(parents=True)
        for k, vector in enumerate(vectors):
            leaf = Leaf(f"{who}/{k}.png", (who,), [vector])
            images.write(tmp_path / "raw" / leaf.name, leaf.read().pixels)
            leaves.append(leaf)
    raw = folder(tmp_path / "raw")
    pages = list(folder_pages(raw, tmp_path / "raw"))
    assert all(isinstance(page, Page) for page in pages)

    class BySource(Lookup):
        def encode(self, picture):
            where = str(picture.source).rsplit("/", 2)
            return Lookup.encode(self, Leaf("/".join(where[1:]), (), []).read())

    before = {p: p.read_bytes() for p in sorted(tmp_path.rglob("*.png"))}
    report = Collector(pages, BySource(leaves), threshold=0.5, min_pictures=3).run()
    out = report.write(tmp_path / "report" / "new")
    assert {p: p.read_bytes() for p in sorted(tmp_path.rglob("*.png"))} == before
    rows = list(csv.DictReader((out / "actions.csv").read_text("utf-8").splitlines()))
    assert len(rows) == 7
    assert rows[3] == {
        "path": "Ann/3.png", "face": "-1", "subject": "Ann", "action": "reject", "why": "no face is like the person",
        "likeness": "0", "left": "0", "top": "0", "right": "0", "bottom": "0",
    }  # fmt: skip
    with pytest.raises(StoreError, match="cannot be written"):
        report.write(out / "kept.csv")
    clean = csv_table(out / "kept.csv", root=tmp_path / "raw")
    assert clean.names == ("Ann", "Bob")
    assert clean.subjects.tolist() == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: collected([], threshold=1.0), "cosine between -1 and 1"),
        (lambda: collected([], min_pictures=0), "at least 1 of each"),
        (lambda: collected([], rounds=0), "at least 1 of each"),
        (lambda: collected([], near_bits=40), "0 to 31 bits"),
        (lambda: collected([PORTRAITS[0], PORTRAITS[0]]), "'ann' twice"),
        (lambda: collected(PORTRAITS, people={"Ann": "Ann"}), "key of people, got 'Bob' of page 'bob'"),
    ],
)
def test_what_does_not_fit_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_vectors_of_two_spaces_are_refused():
    encoder = Lookup(list(PORTRAITS))
    pages = iter(PORTRAITS)

    def turning():
        yield next(pages)
        encoder.space = "other@000000000000"
        yield next(pages)

    with pytest.raises(InputError, match=r"one space, got drawn@0{12} and other@0{12}"):
        Collector(turning(), encoder, threshold=0.5).run()


def test_a_file_is_named_from_its_root(tmp_path):
    assert FilePage(tmp_path / "a" / "b.jpg", ("Ann",), root=tmp_path).name == "a/b.jpg"
    assert FilePage(tmp_path / "a" / "b.jpg", ("Ann",), root=tmp_path / "out").name == "../a/b.jpg"
    assert FilePage(tmp_path / "b.jpg").name == (tmp_path / "b.jpg").as_posix()
