"""Make tests/golden/sim/faces: the pictures that simulated faces are held to.

PYTHONPATH=. python tools/golden/sim_faces.py

Run it only when pictures are meant to change; raise `vultus.sim._shards.FORMAT` then, so that no old shards are taken.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

from tests.sim import trials
from vultus.sim._shards import FORMAT
from vultus.testing import golden

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Render and store."""
    arrays = trials.golden_pictures()
    facts = {
        "made_by": "tools/golden/sim_faces.py",
        "made": datetime.now(timezone.utc).date().isoformat(),
        "source": f"vultus.sim.faces, {FORMAT}",
        "versions": {name: version(name) for name in ("numpy", "opencv-python-headless")},
        "sha256": {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in arrays.items()},
    }
    golden.save(ROOT / "tests" / "golden" / "sim", "faces", arrays, facts)


if __name__ == "__main__":
    main()
