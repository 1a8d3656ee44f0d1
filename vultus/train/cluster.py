"""A training run on a Ray cluster: one process per worker, restarted from the last checkpoint when one is lost."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from vultus.errors import InputError, MissingExtra, StoreError
from vultus.io.files import read_bytes
from vultus.train import config
from vultus.train.launch import RESULTS, RUN, Job, refuse_taken, train

__all__ = ["train_on_ray"]

_RESTARTS = 3
_QUIET = {
    "RAY_TRAIN_ENABLE_STATE_TRACKING": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_MAX = 1 << 24


def train_on_ray(
    job: Job, *, workers: int, address: str | None = None, cores: int = 1
) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """Train with Ray Train and say what was measured.

    Data and `job.out` lie at the same path on every machine. A Ray that this process has started is used; otherwise one
    is joined (`address`, or RAY_ADDRESS) or started on this machine.

    Args:
        job: what; device "cuda" asks for one GPU per worker.
        workers: processes.
        address: of a cluster, such as "auto" or "10.0.0.1:6379".
        cores: of each worker.

    Returns:
        Name of a set -> figure -> value with interval, as in verification.json.

    Raises:
        MissingExtra: if Ray is not installed.
        InputError: if the number of workers is none, or the job is refused.
        StoreError: if the cluster cannot be joined, or the run failed on it; the message is the first one of a worker.
    """
    if workers < 1 or cores < 1:
        raise InputError(f"workers, cores: expected at least 1 each, got {workers} and {cores}")
    config.read(job.recipe, job.scale, job.set)  # what is wrong with it is said here, and once
    if not job.resume:
        refuse_taken(job.out)
    for key, value in _QUIET.items():
        os.environ.setdefault(key, value)
    try:
        import ray
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer
    except ImportError as error:
        raise MissingExtra("training on Ray", "ray") from error
    mine = not ray.is_initialized()
    gpu = job.device.startswith("cuda")
    out = job.out.absolute()
    ours = out.with_name(f".ray-{out.name}")  # Ray's own notes; what the run keeps is in its folder
    failed = getattr(ray.train, "TrainingFailedError", RuntimeError)
    try:
        if mine:
            options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
            if not address and not os.environ.get("RAY_ADDRESS"):
                options |= {"num_cpus": workers * cores, "include_dashboard": False}
            ray.init(address=address, **options)
        trainer = TorchTrainer(
            _worker,
            train_loop_config={**asdict(job), "out": str(out), "set": dict(job.set)},
            scaling_config=ScalingConfig(
                num_workers=workers, use_gpu=gpu, resources_per_worker={"CPU": cores, **({"GPU": 1} if gpu else {})}
            ),
            run_config=RunConfig(
                name=ours.name, storage_path=str(out.parent), failure_config=FailureConfig(max_failures=_RESTARTS)
            ),
        )
        trainer.fit()
    except (failed, ray.exceptions.RayError, ConnectionError, RuntimeError) as error:
        raise StoreError(f"{job.out}: the run failed on Ray: {_cause(error)}") from error
    finally:
        shutil.rmtree(ours, ignore_errors=True)
        if mine and ray.is_initialized():
            ray.shutdown()
    found: Mapping[str, Mapping[str, Mapping[str, Any]]] = json.loads(read_bytes(out / RESULTS, _MAX))
    return found


def _worker(settings: dict[str, Any]) -> None:
    """In each process of Ray Train, which has made the process group."""
    import ray.train.torch
    import torch

    cores = os.environ.get("OMP_NUM_THREADS", "")
    torch.set_num_threads(int(cores) if cores.isdecimal() and int(cores) else 1)
    job = Job(**{**settings, "out": Path(settings["out"]), "verify": tuple(settings["verify"])})
    begun = (job.out / RUN).is_file()  # by a worker that was lost
    device = str(ray.train.torch.get_device()) if job.device.startswith("cuda") else job.device
    train(replace(job, device=device, resume=job.resume or begun))


def _cause(error: BaseException) -> str:
    """What a worker said last, without the trace."""
    text = str(error).strip().splitlines()
    return text[-1].removeprefix("vultus.errors.") if text else type(error).__name__
