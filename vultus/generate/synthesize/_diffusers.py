"""A pipeline of diffusers as text-to-image backend: what it is called with. The pipeline itself is the user's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vultus.errors import InputError, MissingExtra
from vultus.generate.synthesize._personas import Vocabulary
from vultus.types import U8

__all__ = ["DiffusersBackend"]


class DiffusersBackend:
    """Adapter over a Stable Diffusion pipeline with a ControlNet for the pose and an image prompt for the person.

    The call follows the documented keywords of diffusers' `StableDiffusionControlNetPipeline` with an IP-Adapter
    loaded. It has been tried with a stand-in that records its arguments, never with real weights.

    Args:
        pipe: the pipeline, on its device, with its IP-Adapter loaded.
        poses: control picture of each pose value, as the ControlNet wants it (an OpenPose face drawing).
        weights: sha256 or hub revision of everything in `pipe`; stands in the provenance.
        license: terms of those weights.
        steps, guidance: of the sampling.
        reference_scale: how strongly the first picture of a person binds the further ones.
    """

    method = "diffusers"

    def __init__(
        self,
        pipe: Any,
        poses: Mapping[str, U8],
        *,
        weights: str,
        license: str,
        steps: int = 30,
        guidance: float = 6.0,
        reference_scale: float = 0.7,
    ) -> None:
        unknown = set(poses) - set(Vocabulary.read().pose)
        if not poses or any(np.ndim(p) != 3 or np.shape(p)[2] != 3 for p in poses.values()):
            raise InputError(f"poses: expected an RGB control picture per pose, got {sorted(poses)}")
        if not weights or not license:
            raise InputError("weights, license: expected what stands in the provenance, got an empty string")
        self.pipe, self.poses, self.weights, self.license = pipe, dict(poses), weights, license
        self.steps, self.guidance, self.reference_scale = steps, guidance, reference_scale
        self.custom_poses = tuple(sorted(unknown))

    def generate(self, prompt: str, negative: str, *, seed: int, pose: str, reference: U8 | None) -> U8:
        """One picture; see `T2IBackend`.

        Raises:
            InputError: there is no control picture for the pose.
            MissingExtra: torch is not installed.
        """
        if pose not in self.poses:
            raise InputError(f"pose: expected one of {', '.join(self.poses)}, got {pose!r}")
        try:
            import torch
        except ImportError as error:
            raise MissingExtra("pictures by diffusers", "train") from error
        control = self.poses[pose]
        # The first picture has no reference: the adapter is given its own control picture at strength 0.
        self.pipe.set_ip_adapter_scale(0.0 if reference is None else self.reference_scale)
        made = self.pipe(
            prompt=prompt,
            negative_prompt=negative,
            image=_scaled(control),
            ip_adapter_image=_scaled(control if reference is None else reference),
            height=control.shape[0],
            width=control.shape[1],
            num_inference_steps=self.steps,
            guidance_scale=self.guidance,
            generator=torch.Generator().manual_seed(seed),
            output_type="np",
        ).images
        pixels: U8 = np.floor(255 * np.clip(np.asarray(made)[0], 0, 1) + 0.5).astype(np.uint8)
        return pixels


def _scaled(image: U8) -> Any:
    """(1, H, W, 3) in [0, 1], one of the forms that diffusers takes."""
    return np.asarray(image, np.float32)[None] / 255
