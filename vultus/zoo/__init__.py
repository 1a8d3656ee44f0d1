"""Weight files: what they are (`cards`), where they come from (`fetch`), where they lie (`store`), how they run (`session`)."""
