"""Which picture stands where: evidence, scores and one assignment over all."""
