"""Training: what the loops share. Needs torch; nothing is imported until it is asked for."""
