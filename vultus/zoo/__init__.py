"""Weight files: what they are (cards), whence they come (fetch), where they lie (store), how they run (session)."""
