"""The one judge rule: a number about identity comes from a network that was in no loss and never saw these people.

A method may be optimized against some networks (surrogates) and is judged by others. The panel holds both and refuses
what would make the judge part of the contest:

1. No judge is among the surrogates or in the `loss_spaces` of what is judged. A judge of the same family or training
   data as a network that was optimized against is allowed, and the report warns.
2. Simulated: a judge's training people are none of the base, surrogate or evaluated people. Real weights with unknown
   training people: the report says so.
3. A judge passes on people it never saw: EER below 2 % on simulated people, or the run is invalid. Its EER stands
   beside every number about identity.
4. Thresholds come from pairs tagged `dev` alone, of people who are not evaluated.
5. Judges are reported first; numbers of surrogates are labelled white-box. A network that filtered or sorted is a
   surrogate too: its space belongs in `loss_spaces`.
6. Real weights: at least two judges, one of them of another family than every surrogate. The attribute judge is held
   to rule 1 as well.
7. The house's judges are `f_eval` on simulated people, and dlib's ResNet and MobileFaceNet in turn on real ones; a
   report by others says so. `eligible` leaves out those that were in a loss.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from vultus.contracts import Embedder
from vultus.errors import InputError, Refused
from vultus.evaluate._panel import identity_metrics, shared_background
from vultus.evaluate.provenance import provenance as made_here
from vultus.ops import roc
from vultus.ops.stats import rule_of_30
from vultus.types import U8, ComparisonTable, Metric, Provenance, Report, checked
from vultus.zoo.cards import cards

__all__ = ["FMR", "HOUSE_JUDGES", "MAX_EER", "Background", "Panel", "Spaces", "eligible", "same_weights"]

F64 = NDArray[np.float64]

FMR = (1e-2, 1e-3, 1e-4)
MAX_EER = 0.02  # of a judge, on simulated people it never saw
HOUSE_JUDGES: Mapping[str, tuple[str, ...]] = {"sim": ("f_eval",), "real": ("dlib_resnet29", "mobilefacenet_casia")}
_ANY = TypeVar("_ANY", bound="Spaces")


class Spaces(Protocol):
    """Anything with a space: a judge of identity or of attributes."""

    @property
    def space(self) -> str:
        """Name + "@" + first 12 hex of the weights' sha256."""
        ...


@dataclass(frozen=True, slots=True)
class Background:
    """Where a network comes from.

    Attributes:
        family: architecture family: "iresnet", "mobilefacenet"; "" when unknown.
        data: name of the training data; "" when unknown.
        people: subject numbers of the people it was trained on (on simulated data their seeds); None when unknown.
    """

    family: str = ""
    data: str = ""
    people: Collection[int] | None = None


class Panel:
    """Surrogates and judges, and the rules between them."""

    def __init__(
        self,
        surrogates: Sequence[Embedder],
        judges: Sequence[Embedder],
        attribute_judge: Spaces | None = None,
        *,
        dev_pairs: Mapping[str, ComparisonTable] | None = None,
        people_evaluated: Iterable[int] = (),
        people_base: Iterable[int] = (),
        backgrounds: Mapping[str, Background] | None = None,
        data: str = "sim",
    ) -> None:
        """Put networks in their roles.

        Args:
            surrogates: networks that are optimized against, or that filter and sort.
            judges: networks whose numbers count, at least one; at least two on real data.
            attribute_judge: network that judges attributes, or None.
            dev_pairs: comparisons for `calibrate`, or None to call it later.
            people_evaluated: subject numbers of the people that will be judged; on simulated data their seeds.
            people_base: simulated people on whom the base model was trained.
            backgrounds: space -> where that network comes from, also for networks that are only in a loss. Of what is
                not listed, family and data are taken from the zoo's card of that name, and people from the network's
                `train_ids`, which the house's miniatures have.
            data: "sim" or "real".

        Raises:
            Refused: a rule above is broken.
            InputError: no judge, one space twice, or data that is neither.
        """
        if data not in ("sim", "real"):
            raise InputError(f"data: expected sim or real, got {data!r}")
        if not judges or len({judge.space for judge in judges}) < len(judges):
            raise InputError(f"judges: expected different networks, at least one; got {[j.space for j in judges]}")
        self.surrogates, self.judges = tuple(surrogates), tuple(judges)
        self.attribute_judge, self.data = attribute_judge, data
        self.evaluated, self.base = frozenset(map(int, people_evaluated)), frozenset(map(int, people_base))
        self._backgrounds = dict(backgrounds or {})
        self._taus: dict[str, dict[float, float]] = {}
        self._eer: dict[str, float] = {}
        self._dev: dict[str, str] = {}
        self._too_few: dict[str, list[str]] = {}
        self._dev_people: set[int] = set()
        self._losses: set[str] = set()
        self._refuse_losses([one.space for one in self.surrogates], "is a surrogate as well")
        self._refuse_people(self.evaluated, "people who are evaluated")
        self._refuse_people(self.base, "people of the base model")
        self._refuse_shared_people(one.space for one in self.surrogates)
        if data == "real":
            self._refuse_one_family()
        if dev_pairs is not None:
            self.calibrate(dev_pairs)

    @property
    def invalid(self) -> str:
        """Why the numbers may not be used, or "": a judge that fails on people it never saw (rule 3)."""
        if self.data != "sim":
            return ""
        bad = [f"judge {j.space}: EER {self._eer[j.space]:.2%}" for j in self.judges if self.eer(j.space) >= MAX_EER]
        return f"{'; '.join(bad)}, below {MAX_EER:.0%} is needed on simulated people" if bad else ""

    def eer(self, space: str) -> float:
        """Equal error rate of a network on the dev pairs.

        Raises:
            InputError: it was not calibrated.
        """
        if space not in self._eer:
            raise InputError(f"{space}: expected dev pairs of this network first; call calibrate")
        return self._eer[space]

    def background(self, space: str) -> Background:
        """Where a network comes from, as far as that is known."""
        if space in self._backgrounds:
            return self._backgrounds[space]
        members = [one for one in (*self.judges, *self.surrogates) if one.space == space]
        people = next((one.train_ids for one in members if hasattr(one, "train_ids")), None)
        card = cards().get(space.partition("@")[0])
        return Background("" if card is None else card.method, "" if card is None else card.training_data, people)

    def calibrate(
        self, dev_pairs: Mapping[str, ComparisonTable], fmr: Sequence[float] = FMR
    ) -> dict[str, dict[float, float]]:
        """Thresholds and equal error rates, from dev pairs only (rules 3 and 4).

        Args:
            dev_pairs: space -> comparisons of people who are not evaluated, tagged "dev"; every judge needs one.
            fmr: wanted false match rates.

        Returns:
            space -> rate -> threshold. Rates that the comparisons do not support (30 expected errors) are left out.

        Raises:
            Refused: a table that is not tagged "dev", or people who are evaluated or known to a judge.
            InputError: a judge without comparisons, or comparisons of a network that is not in the panel.
        """
        known = {one.space for one in (*self.judges, *self.surrogates)}
        missing = [judge.space for judge in self.judges if judge.space not in dev_pairs]
        if missing or set(dev_pairs) - known:
            raise InputError(
                f"dev_pairs: expected every judge and only networks of the panel; missing {missing or 'none'}, "
                f"unknown {sorted(set(dev_pairs) - known) or 'none'}"
            )
        for space, table in dev_pairs.items():
            if table.split != "dev":
                raise Refused(f"{space}: thresholds come from pairs tagged dev, got {table.split!r} (rule 4)")
            people = _people(table)
            if people & self.evaluated:
                raise Refused(f"{space}: {_some(people & self.evaluated)} of the dev pairs are evaluated too (rule 4)")
            self._refuse_people(people, "people of the dev pairs")
        for space, table in dev_pairs.items():
            nonmated = table.score[~table.mated]
            self._eer[space] = roc.eer(table.score[table.mated], nonmated)
            supported = [rate for rate in fmr if rule_of_30(len(nonmated), rate)]
            self._too_few[space] = [
                f"no threshold at FMR {rate:g}: {len(nonmated):,} dev comparisons of different people are too few"
                for rate in fmr
                if rate not in supported
            ]
            self._taus[space] = {rate: roc.threshold_at_fmr(nonmated, rate) for rate in supported}
            self._dev_people |= _people(table)
            self._dev[space] = f"dev pairs: {len(table):,} comparisons of {len(_people(table)):,} people"
        return {space: dict(taus) for space, taus in self._taus.items()}

    def similarity(self, a: U8 | Mapping[str, U8], b: U8 | Mapping[str, U8]) -> dict[str, F64]:
        """Cosine between two rows of crops under every network, judges first.

        Args:
            a: (N, h, w, 3) uint8 crops; or space -> crops, where the networks want different ones.
            b: the same, for the other side.

        Returns:
            space -> (N,) cosine in [-1, 1].
        """
        found = {}
        for one in (*self.judges, *self.surrogates):
            left, right = (side[one.space] if isinstance(side, Mapping) else side for side in (a, b))
            product = one.embed(left).vec.astype(np.float64) * one.embed(right).vec
            found[one.space] = np.clip(product.sum(1), -1.0, 1.0)
        return found

    def compare(
        self, a: U8 | Mapping[str, U8], b: U8 | Mapping[str, U8], subjects: tuple[Any, Any], split: str
    ) -> dict[str, ComparisonTable]:
        """`similarity` as tables: what `calibrate` (split "dev") and `report` (split "test") take.

        Args:
            a: see `similarity`.
            b: see `similarity`.
            subjects: (N,) subject numbers of `a`, and those of `b`; on simulated data the people's seeds.
            split: "dev" or "test".
        """
        ref = checked("subjects[0]", subjects[0], (None,), np.int64)
        probe = checked("subjects[1]", subjects[1], (len(ref),), np.int64)
        scores = self.similarity(a, b)
        return {space: ComparisonTable(score, ref == probe, ref, probe, split) for space, score in scores.items()}

    def check(self, provenance: Provenance | Iterable[Provenance], subjects: Iterable[int]) -> None:
        """Refuse what a judge has helped to make, and people whom a judge has seen (rules 1 and 2).

        Args:
            provenance: how the pictures were made, one record or several.
            subjects: subject numbers of the people that are judged.

        Raises:
            Refused: a judge is in a loss, reward, filter or sorter, or was trained on these people.
        """
        records = [provenance] if isinstance(provenance, Provenance) else list(provenance)
        for record in records:
            if not isinstance(record, Provenance):
                raise InputError(
                    f"provenance: expected records of vultus.types.Provenance, got {type(record).__name__}"
                )
            self._refuse_losses(record.loss_spaces, "was in a loss, reward, filter or sorter")
            self._refuse_shared_people(record.loss_spaces)
            self._losses |= set(record.loss_spaces)
        self._refuse_people(frozenset(map(int, subjects)), "people who are evaluated")

    def report(
        self,
        tables: Mapping[str, ComparisonTable],
        *,
        provenance: Provenance | Iterable[Provenance],
        dataset: str,
        protocol: str = "identity",
        seed: int = 0,
    ) -> Report:
        """The numbers about identity, judges first, each with its judge's EER and an interval over people.

        Args:
            tables: space -> comparisons tagged "test", as `compare` makes them; every judge needs one.
            provenance: how the pictures were made; see `check`.
            dataset: which data, with counts.
            protocol: name of the evaluation.
            seed: of the bootstrap.

        Returns:
            A Report; its `provenance["invalid"]` says why its numbers may not be used, and is absent otherwise.

        Raises:
            Refused: as `check`, or comparisons that are not tagged "test".
            InputError: a judge without comparisons, comparisons of a network that is not in the panel, or a panel that
                was not calibrated.
        """
        missing = [judge.space for judge in self.judges if judge.space not in tables or judge.space not in self._taus]
        if missing:
            raise InputError(f"tables: expected comparisons and dev pairs of every judge; missing {', '.join(missing)}")
        unknown = set(tables) - {one.space for one in (*self.judges, *self.surrogates)}
        if unknown:
            raise InputError(f"tables: expected comparisons of networks of the panel, got also {sorted(unknown)}")
        for space, table in tables.items():
            if table.split != "test":
                raise Refused(f"{space}: numbers come from comparisons tagged test, got {table.split!r}")
            both = _people(table) & self._dev_people
            if both:
                raise Refused(f"{space}: {_some(both)} were in the dev pairs too; number all people once (rule 4)")
            self.check(provenance, _people(table))
        metrics: dict[str, Metric] = {}
        absent: list[str] = [f"invalid: {self.invalid}"] if self.invalid else []
        groups, thresholds = {}, []
        roles = [(f"judge{i}", j) for i, j in enumerate(self.judges, 1)]
        roles += [(f"whitebox{i}", s) for i, s in enumerate(self.surrogates, 1) if s.space in tables]
        for role, one in roles:
            space = one.space
            error = f"EER {self._eer[space]:.2%}" if space in self._eer else "EER not measured"
            words = f"judge {space}, {error}" if role.startswith("judge") else f"white-box: surrogate {space}, {error}"
            taus = self._taus.get(space, {})
            rows, without = identity_metrics(tables[space], taus, words, rng=np.random.default_rng(seed))
            metrics |= {f"{role}.{name}": metric for name, metric in rows.items()}
            absent += [f"{space}: {why}" for why in [*without, *self._too_few.get(space, [])]]
            groups[role] = words[:1].upper() + words[1:]
            source = self._dev.get(space, "")
            thresholds += [{"name": f"{space} at FMR {r:g}", "value": t, "source": source} for r, t in taus.items()]
        about = made_here(seed=seed) | {
            "title": "Identity, by judges that were in no loss",
            "headline": [name for name in metrics if name.startswith("judge")][:4],
            "groups": groups,
            "thresholds": thresholds,
            "notes": self.warnings(),
        }
        about |= {"invalid": self.invalid} if self.invalid else {}
        spaces = tuple(one.space for _, one in roles)
        return Report(protocol, dataset, self.data, metrics, {}, spaces, about, tuple(absent))

    def warnings(self) -> list[str]:
        """What a reader of any number of this panel must know, in sentences."""
        said = ["simulated data: shows the mechanism, not field accuracy"] if self.data == "sim" else []
        optimized = sorted({s.space for s in self.surrogates} | self._losses)
        if self.data == "sim":
            unknown = [space for space in optimized if self.background(space).people is None]
            said += [f"{space}, which was optimized against: training people unknown" for space in unknown]
        for judge in self.judges:
            mine = self.background(judge.space)
            for other in optimized:
                same = shared_background(mine, self.background(other))
                said += [
                    f"judge {judge.space} shares its {what} with {other}, which was optimized against" for what in same
                ]
            if mine.people is None:
                said.append(f"judge {judge.space}: training people unknown")
            if judge.space.partition("@")[0].partition(".")[0] not in HOUSE_JUDGES[self.data]:
                said.append(f"judge {judge.space} is not a judge of the house ({', '.join(HOUSE_JUDGES[self.data])})")
        if self.surrogates:
            said.append("numbers of surrogates are white-box: they show that the optimization worked, nothing else")
        return said

    def _refuse_losses(self, spaces: Iterable[str], how: str) -> None:
        every = [*self.judges, *([self.attribute_judge] if self.attribute_judge is not None else [])]
        for judge in every:
            if any(same_weights(judge.space, space) for space in spaces):
                raise Refused(f"judge {judge.space} {how}: judge with a network that was in none (rule 1)")

    def _refuse_shared_people(self, spaces: Iterable[str]) -> None:
        """Simulated: no judge was trained on people on whom a network was that is optimized against (rule 2)."""
        for space in spaces if self.data == "sim" else ():
            people = frozenset(self.background(space).people or ())
            self._refuse_people(people, f"people on whom {space} was trained, which is optimized against")

    def _refuse_people(self, people: frozenset[int], who: str) -> None:
        for judge in self.judges:
            mine = self.background(judge.space).people
            if mine is None and self.data == "real":
                continue  # the report says that they are unknown
            if mine is None:
                raise Refused(
                    f"judge {judge.space}: its training people are unknown; on simulated data state them in "
                    "`backgrounds` (rule 2)"
                )
            seen = people & frozenset(mine)
            if seen:
                raise Refused(f"judge {judge.space} was trained on {_some(seen)}, {who} (rule 2)")

    def _refuse_one_family(self) -> None:
        if len(self.judges) < 2:
            raise Refused(f"judges: expected at least two on real data, got {len(self.judges)} (rule 6)")
        used = {self.background(one.space).family for one in self.surrogates}
        if self.surrogates and all(self.background(one.space).family in used | {""} for one in self.judges):
            raise Refused(f"judges: expected one of another family than {', '.join(sorted(used))} (rule 6)")


def same_weights(left: str, right: str) -> bool:
    """Whether two spaces are one, or one set of weights under two names."""
    hexes = left.partition("@")[2], right.partition("@")[2]
    return left == right or (hexes[0] == hexes[1] != "")


def eligible(judges: Iterable[_ANY], provenance: Iterable[Provenance]) -> list[_ANY]:
    """Those of some judges that were in no loss, reward, filter or sorter, in their order."""
    losses = [space for record in provenance for space in record.loss_spaces]
    return [judge for judge in judges if not any(same_weights(judge.space, space) for space in losses)]


def _people(table: ComparisonTable) -> frozenset[int]:
    return frozenset(np.union1d(table.ref_subject, table.probe_subject).tolist())


def _some(people: Collection[int]) -> str:
    few = ", ".join(map(str, sorted(people)[:3]))
    return f"{len(people)} people ({few}{', ...' if len(people) > 3 else ''})"
