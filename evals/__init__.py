"""Quality measures on real articles, run through the workflow's own code."""
