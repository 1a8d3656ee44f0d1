"""Networks that turn a crop into a raw vector: one file per family, one set for all rooms."""
