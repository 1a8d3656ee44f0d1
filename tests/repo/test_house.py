"""The house is in order: floors, rows, budgets, names (the rules are in `house.py`, one function each)."""

from __future__ import annotations


def test_house(rule, root):
    found = rule(root)
    assert not found, f"{rule.__doc__}\n" + "\n".join(found)
