import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from vultus import catalogue
from vultus.errors import InputError
from vultus.recognize.classical.joint_bayes import JointBayes


def spread(rng, d, size):
    root = rng.standard_normal((d, d))
    return size * (root @ root.T / d + 0.1 * np.eye(d))


def drawn(rng, between, within, counts, mean=0.0):
    d, who = len(between), np.repeat(np.arange(len(counts)), counts)
    people = rng.multivariate_normal(np.zeros(d), between, len(counts))
    return mean + people[who] + rng.multivariate_normal(np.zeros(d), within, len(who)), who


def log_ratio(model, a, b):
    """The two likelihoods written out with a covariance of size 2D."""
    total = model.between + model.within
    joint = np.block([[total, model.between], [model.between, total]])
    centre = np.concatenate([model.mean, model.mean])
    one = multivariate_normal(centre, joint).logpdf(np.concatenate([a, b]))
    return one - sum(multivariate_normal(model.mean, total).logpdf(x) for x in (a, b))


def log_likelihood(model, rows, who):
    """Mean over vectors, each person's pictures as one long vector."""
    found = 0.0
    for person in np.unique(who):
        mine = rows[who == person]
        cov = np.kron(np.ones((len(mine),) * 2), model.between) + np.kron(np.eye(len(mine)), model.within)
        found += multivariate_normal(np.tile(model.mean, len(mine)), cov).logpdf(mine.ravel())
    return found / len(rows)


def test_ratio_of_one_dimension_by_hand():
    model = JointBayes.of([0.0], [[1.0]], [[1.0]])
    # total 2, joint [[2, 1], [1, 2]] of determinant 3: at 0 the ratio is log(4 / 3) / 2; at (1, 1) the quadratic forms
    # are 2/3 for one person and 1/2 + 1/2 for two: 1/6 more. At (1, -1): 2 against 1, 1/2 less.
    at_zero = np.log(4 / 3) / 2
    np.testing.assert_allclose(model.scores([[0.0], [1.0]], [[0.0], [1.0], [-1.0]])[0, 0], at_zero)
    np.testing.assert_allclose(model.pairs([[1.0], [1.0]], [[1.0], [-1.0]]), [at_zero + 1 / 6, at_zero - 1 / 2])


@given(st.integers(1, 5), st.integers(0, 10**6))
def test_ratio_is_that_of_the_gaussians_written_out(d, seed):
    rng = np.random.default_rng(seed)
    model = JointBayes.of(rng.standard_normal(d), spread(rng, d, 2.0), spread(rng, d, 1.0))
    a, b = rng.standard_normal((3, d)) * 2, rng.standard_normal((4, d)) * 2
    expected = [[log_ratio(model, x, y) for y in b] for x in a]
    np.testing.assert_allclose(model.scores(a, b), expected, rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(model.pairs(a, b[:3]), np.diag(expected), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(model.scores(b, a), model.scores(a, b).T, rtol=1e-9, atol=1e-9)


@given(st.integers(0, 10**6))
def test_a_space_turned_and_scaled_gives_the_same_ratios(seed):
    rng = np.random.default_rng(seed)
    rows, who = drawn(rng, spread(rng, 3, 3.0), spread(rng, 3, 1.0), np.full(12, 3))
    move, shift = rng.standard_normal((3, 3)) + 3 * np.eye(3), rng.standard_normal(3)
    one = JointBayes(iterations=5, tolerance=0).fit(rows, who).scores(rows, rows)
    # the start of EM has 1e-6 of a round covariance in it, which a scaled space does not see as round
    other = JointBayes(iterations=5, tolerance=0).fit(rows @ move + shift, who).scores(*[rows @ move + shift] * 2)
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("fit_by", ["em", "moments"])
def test_planted_covariances_come_back(fit_by):
    rng = np.random.default_rng(5)
    between, within = spread(rng, 4, 4.0), spread(rng, 4, 1.0)
    rows, who = drawn(rng, between, within, rng.integers(1, 7, 3000), mean=7.0)
    model = JointBayes(fit_by=fit_by, iterations=60).fit(rows, who)
    np.testing.assert_allclose(model.mean, 7.0, atol=0.15)
    assert np.linalg.norm(model.within - within) < 0.05 * np.linalg.norm(within)
    assert np.linalg.norm(model.between - between) < 0.08 * np.linalg.norm(between)


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_em_climbs_and_its_likelihood_is_the_one_written_out(seed):
    rng = np.random.default_rng(seed)
    rows, who = drawn(rng, spread(rng, 2, 2.0), spread(rng, 2, 1.0), rng.integers(1, 5, 9))
    who[:6] = [0, 0, 0, 1, 1, 1]
    model = JointBayes(iterations=8, tolerance=0.0).fit(rows, who)
    assert len(model.likelihoods) == 9
    assert (np.diff(model.likelihoods) > -1e-9).all()
    assert model.likelihoods[-1] == pytest.approx(log_likelihood(model, rows, who), rel=1e-8)


def test_as_printed_it_does_not_climb_and_takes_people_for_more_alike():
    rng = np.random.default_rng(2)
    between, within = np.eye(3), np.eye(3)
    rows, who = drawn(rng, between, within, np.full(400, 3))
    printed = JointBayes(fit_by="published", iterations=40, tolerance=0).fit(rows, who)
    exact = JointBayes(iterations=40, tolerance=0).fit(rows, who)
    assert min(np.diff(printed.likelihoods)) < 0
    assert printed.likelihoods[-1] < exact.likelihoods[-1]
    assert np.trace(printed.between) < 0.8 * np.trace(exact.between)
    assert np.trace(exact.between) == pytest.approx(3, rel=0.15)


def test_with_as_many_pictures_of_everybody_em_ends_at_the_closed_form():
    rng = np.random.default_rng(3)
    rows, who = drawn(rng, spread(rng, 3, 5.0), spread(rng, 3, 1.0), np.full(60, 4))
    means = np.stack([rows[who == k].mean(axis=0) for k in range(60)])
    apart = rows - means[who]
    within = apart.T @ apart / (240 - 60)
    exact = JointBayes(iterations=3000, tolerance=0).fit(rows, who)
    np.testing.assert_allclose(exact.within, within, rtol=1e-5, atol=1e-6)
    # likelihood divides by the people where moments divide by one less
    np.testing.assert_allclose(exact.between, np.cov(means.T, ddof=0) - within / 4, rtol=1e-4, atol=1e-5)
    moments = JointBayes(fit_by="moments").fit(rows, who)
    np.testing.assert_allclose(moments.within, within, rtol=1e-10)
    np.testing.assert_allclose(moments.between, np.cov(means.T) - within / 4, rtol=1e-10, atol=1e-12)


def test_limits():
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((5, 3)), rng.standard_normal((4, 3))
    nobody = JointBayes.of(np.zeros(3), np.zeros((3, 3)), np.eye(3))
    np.testing.assert_array_equal(nobody.scores(a, b), 0)  # people do not differ: nothing is known
    # people all but infinitely far apart: the squared distance in units of `within`, up to a constant
    far = JointBayes.of(np.zeros(3), 1e8 * np.eye(3), np.diag([1.0, 4.0, 9.0]))
    distance = (np.square(a[:, None] - b) / (1.0, 4.0, 9.0)).sum(axis=-1)
    ratio = far.scores(a, b)
    np.testing.assert_allclose(ratio - ratio[0, 0], -(distance - distance[0, 0]) / 4, atol=1e-5)


def test_it_orders_pairs_better_than_the_cosine_where_one_axis_is_noise():
    rng = np.random.default_rng(6)
    between, within = np.diag([1.0, 1, 1, 0.01]), np.diag([0.2, 0.2, 0.2, 9.0])
    known, who = drawn(rng, between, within, np.full(80, 5))
    rows, whose = drawn(rng, between, within, np.full(60, 2))
    same = whose[:, None] == whose
    chosen = np.triu(np.ones_like(same), 1).astype(bool)

    def area(scores):
        mated, other = scores[same & chosen], scores[~same & chosen]
        return (mated[:, None] > other).mean()

    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert area(JointBayes().fit(known, who).scores(rows, rows)) > area(unit @ unit.T) + 0.1


def test_fewer_axes_are_those_of_pca():
    rng = np.random.default_rng(7)
    rows, who = drawn(rng, spread(rng, 3, 3.0), spread(rng, 3, 1.0), np.full(20, 3))
    wide = np.concatenate([rows, np.zeros((60, 4))], axis=1)  # four directions in which nothing varies
    np.testing.assert_allclose(
        JointBayes(dim=3).fit(wide, who).scores(wide, wide[:2]), JointBayes().fit(rows, who).scores(rows, rows[:2]),
        rtol=1e-4, atol=1e-4,
    )  # fmt: skip
    with pytest.raises(InputError, match=r"too few directions.*dim=.*ridge="):
        JointBayes().fit(wide, who)
    assert JointBayes(ridge=0.01).fit(wide, who).scores(wide, wide).shape == (60, 60)


def test_the_catalogue_has_both_forms_and_a_kept_model_compares_alike():
    rng = np.random.default_rng(8)
    rows, who = drawn(rng, spread(rng, 3, 3.0), spread(rng, 3, 1.0), np.full(20, 3))
    assert catalogue.load("joint_bayes.moments").fit_by == "moments"
    model = catalogue.load("joint_bayes").fit(rows, [f"person {k}" for k in who])
    kept = JointBayes.of(model.mean, model.between, model.within)
    np.testing.assert_allclose(kept.scores(rows, rows), model.scores(rows, rows), atol=1e-9)
    np.testing.assert_allclose(JointBayes().fit(rows, who).within, model.within, atol=1e-9)  # names or numbers


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: JointBayes(dim=0), "at least 1 axis"),
        (lambda: JointBayes(fit_by="guess"), '"em", "published" or "moments"'),
        (lambda: JointBayes(ridge=-1), "share of at least 0"),
        (lambda: JointBayes(iterations=0), "at least 1 and 0"),
        (lambda: JointBayes().scores([[1.0]], [[1.0]]), "call fit first"),
        (lambda: JointBayes().mean, "call fit first"),
        (lambda: JointBayes.of([0.0], [[-1.0]], [[1.0]]), "negative variance"),
        (lambda: JointBayes.of([0.0], [[1.0]], [[0.0]]), "full rank"),
        (lambda: JointBayes().fit(np.ones((6, 3)) * np.arange(6)[:, None], [0, 0, 1, 1, 2, 2]), "too few directions"),
        (lambda: JointBayes().fit(np.eye(4), [0, 0, 1, 1]), r"at least 4 .* got 2 .*axes with dim="),
        (lambda: JointBayes().fit(np.eye(4), [0, 1, 2, 3]), "one of each of 4"),
        (lambda: JointBayes().fit(np.eye(4), [0, 0, 0, 0]), "at least two people"),
        (lambda: JointBayes().fit(np.eye(4), [0, 0, 1]), "one for each of 4"),
        (lambda: JointBayes().fit(np.zeros((0, 4)), []), "at least two people"),
        (lambda: JointBayes.of([0.0], [[1.0]], [[1.0]]).pairs([[0.0]], [[0.0], [1.0]]), "as many rows"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_or_compared_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()
