"""Pure functions on arrays that have a definition: boxes, points, warps, vectors, error rates, intervals.

No files, no network, no randomness without an `rng` argument. Import the module you need:
`from vultus.ops import boxes`.
"""
