"""How often a fairness report raises an alarm although all groups are equal; the long run of the test.

python tools/fairness_null.py --worlds 400
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.evaluate.group_worlds import world
from vultus.evaluate.fairness import About, Groups, Settings, fairness
from vultus.ops.stats import wilson

CASES = {
    "exchangeable": {},
    "kin inside groups": {"kin": 0.8},
    "kin inside groups of 40": {"kin": 0.8, "people": 40},
    "eight small groups": {"groups": 8, "people": 10},
}


def main() -> int:
    """Print alarms / worlds for each kind of equal world."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--worlds", type=int, default=400)
    parser.add_argument("--only", choices=CASES, help="one kind of world")
    args = parser.parse_args()
    settings = Settings(n_boot=100, n_perm=499)
    for name in [args.only] if args.only else CASES:
        knobs = CASES[name]
        alarms = 0
        for k in range(args.worlds):
            table, labels = world(np.random.default_rng(10_000 + k), **knobs)
            groups = Groups.of(labels, "simulated")
            found = fairness(table, groups, About("null", "sim"), fmr_targets=[0.02], settings=settings, rng=k)
            alarms += found.provenance["alarms"] != ["no gap is shown"]
        low, high = wilson(alarms, args.worlds)
        print(f"{name}: {alarms} alarms in {args.worlds} worlds, {alarms / args.worlds:.1%} [{low:.1%}, {high:.1%}]")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
