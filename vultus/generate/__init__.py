"""New pictures: of people who do not exist, or of people who agreed."""
