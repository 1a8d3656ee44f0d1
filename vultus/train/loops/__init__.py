"""Loops, one file each; they know only trainables."""
