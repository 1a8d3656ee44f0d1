"""Make tests/golden/zoo_convert/facemesh: what TensorFlow.js answers to a seeded random picture.

npm pack @vladmandic/human@3.3.6 && tar xzf vladmandic-human-3.3.6.tgz
npm install --prefix JS @tensorflow/tfjs@4.22.0
PYTHONPATH=. python tools/golden/facemesh.py package/models JS
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from vultus.testing import golden

ROOT = Path(__file__).resolve().parents[2]


def main(models: Path, packages: Path) -> None:
    """Run the network under Node and store its answers."""
    picture = np.random.default_rng(7).uniform(0, 1, (2, 192, 192, 3)).astype("<f4")
    script = packages / "facemesh.mjs"  # Node looks for packages beside the script
    shutil.copyfile(ROOT / "tools" / "golden" / "facemesh.mjs", script)
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "picture", Path(folder) / "out"
        source.write_bytes(picture.tobytes())
        done = subprocess.run(["node", script, models, source, out], check=True, capture_output=True, text=True)
        answer = np.fromfile(out, "<f4")
    facts = {
        "made_by": "tools/golden/facemesh.py",
        "made": datetime.now(timezone.utc).date().isoformat(),
        "source": "npm @vladmandic/human 3.3.6, models/facemesh.json, run by npm @tensorflow/tfjs",
        "versions": {"tfjs": done.stdout.strip().splitlines()[-1]},
    }
    arrays = {"mesh": answer[: 2 * 1404].reshape(2, 1404), "score": answer[2 * 1404 :].reshape(2, 1)}
    golden.save(ROOT / "tests" / "golden" / "zoo_convert", "facemesh", arrays, facts)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
