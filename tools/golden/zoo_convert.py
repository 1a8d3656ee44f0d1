"""Make tests/golden/zoo_convert: what the authors' own PyTorch networks answer to seeded random pictures.

Needs PyTorch (2.13.0 was used), OpenCV and easydict, the weight files, and checkouts of the authors' repositories:

    git clone https://github.com/biubug6/Pytorch_Retinaface AUTHORS/retinaface
    git clone https://github.com/clovaai/EXTD_Pytorch AUTHORS/extd
    git clone https://github.com/Xiaoccer/MobileFaceNet_Pytorch AUTHORS/mobilefacenet
    PYTHONPATH=. python tools/golden/zoo_convert.py AUTHORS WEIGHTS

Only the answers are stored; the tests draw the pictures again from the seed.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from vultus.testing import golden

HERE = Path(__file__).resolve().parents[2] / "tests" / "golden" / "zoo_convert"
SOURCES = {
    "retinaface": "https://github.com/biubug6/Pytorch_Retinaface at b984b4b775b2c4dced95c1eadd195a5c7d32a60b",
    "extd": "https://github.com/clovaai/EXTD_Pytorch at e99af10f282d07054c1cf7c4b8c035084daaff78",
    "mobilefacenet": "https://github.com/Xiaoccer/MobileFaceNet_Pytorch at 26bd8d262017e472a3c7f56d62929e2138a70aeb",
}
SIZE_HW = (70, 100)  # not a multiple of any stride: maps round up, and up-sampling is not exactly two


def picture(shape: tuple[int, ...]) -> torch.Tensor:
    """The seeded picture that the tests draw, too: uniform in -120..120."""
    return torch.from_numpy(np.random.default_rng(7).uniform(-120, 120, shape).astype(np.float32))


def module(folder: Path, name: str) -> ModuleType:
    """Import a module of a checkout, forgetting those of the checkout before."""
    for known in [key for key in sys.modules if key.split(".")[0] in ("models", "layers", "data", "core", "utils")]:
        del sys.modules[known]
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.pop(0)


class Stages(torch.nn.ModuleDict):
    """Run a network's children in order and return the named ones: all that RetinaFace takes from torchvision."""

    def __init__(self, net: torch.nn.Module, wanted: dict[str, int]) -> None:
        super().__init__({name: child for name, child in net.named_children() if name in wanted})
        self.wanted = wanted

    def forward(self, x: torch.Tensor) -> dict[int, torch.Tensor]:
        """The answers of the wanted children under their new names."""
        out = {}
        for name, child in self.items():
            x = child(x)
            out[self.wanted[name]] = x
        return out


def stand_in() -> None:
    """Put a torchvision with nothing but `Stages` where the checkout looks for one."""
    for name in ("", ".models", ".models._utils", ".models.detection", ".models.detection.backbone_utils"):
        sys.modules[f"torchvision{name}"] = ModuleType(f"torchvision{name}")
    for parent, child in (("", "models"), (".models", "_utils"), (".models", "detection")):
        setattr(sys.modules[f"torchvision{parent}"], child, sys.modules[f"torchvision{parent or ''}.{child}"])
    sys.modules["torchvision.models.detection"].backbone_utils = ModuleType("backbone_utils")
    sys.modules["torchvision.models._utils"].IntermediateLayerGetter = Stages


def retinaface(authors: Path, weights: Path) -> dict[str, np.ndarray]:
    """Answers (loc, conf and landm) of the released network."""
    config = module(authors / "retinaface", "data.config").cfg_mnet | {"pretrain": False}
    net = module(authors / "retinaface", "models.retinaface").RetinaFace(cfg=config, phase="test").eval()
    state = torch.load(weights / "retinaface" / "mobilenet0.25_Final.pth", map_location="cpu")
    net.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    loc, conf, landm = net(picture((1, 3, *SIZE_HW)))
    return {"loc": loc.numpy(), "conf": conf.numpy(), "landm": landm.numpy()}


def extd(authors: Path, weights: Path, width: int) -> dict[str, np.ndarray]:
    """Answers (loc and conf) of the released network of one width."""
    net = module(authors / "extd", f"EXTD_{width}").build_extd("train", num_classes=2).eval()
    net.load_state_dict(torch.load(weights / "extd" / f"EXTD_{width}.pth", map_location="cpu"))
    loc, conf, _ = net(picture((1, 3, *SIZE_HW)))
    return {"loc": loc.numpy(), "conf": torch.softmax(conf, dim=-1).numpy()}


def mobilefacenet(authors: Path, weights: Path) -> dict[str, np.ndarray]:
    """The embedding of the released network."""
    net = module(authors / "mobilefacenet", "core.model").MobileFacenet().eval()
    state = torch.load(weights / "mobilefacenet_casia" / "068.ckpt", map_location="cpu")
    net.load_state_dict(state["net_state_dict"])
    return {"embedding": net(picture((2, 3, 112, 96)) / 120).numpy()}


def main(authors: Path, weights: Path) -> None:
    """Write one pair of files per network."""
    warnings.simplefilter("ignore")
    stand_in()
    today = datetime.now(timezone.utc).date().isoformat()
    facts = {"made_by": "tools/golden/zoo_convert.py", "made": today, "versions": {"torch": torch.__version__}}
    with torch.no_grad():
        answers = {f"extd_{width}": extd(authors, weights, width) for width in (32, 48, 64)}
        answers["retinaface"] = retinaface(authors, weights)
        answers["mobilefacenet"] = mobilefacenet(authors, weights)
    for name, arrays in answers.items():
        golden.save(HERE, name, arrays, facts | {"source": SOURCES[name.split("_")[0]]})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
