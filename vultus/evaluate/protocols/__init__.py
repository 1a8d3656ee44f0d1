"""Protocols: a published rule, a data set and a callable go in, a Report comes out."""
