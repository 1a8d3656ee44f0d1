"""The only place that decodes or encodes: pictures, files, data sets. Everything else takes arrays."""
