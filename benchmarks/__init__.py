"""Speed, measured: one suite per file, one schema, results as JSON with machine, versions, commit and date."""
