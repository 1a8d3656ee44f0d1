"""Simulated worlds with known truth: any amount of data, exact labels, nobody's face."""
