"""Who is it? Networks and classical methods that turn a crop into a comparable vector."""
