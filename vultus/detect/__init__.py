"""Where are the faces? One file per published detector; each takes pictures and returns boxes, scores and points."""
