"""One run in this process: its folder, what was handed over with the brief, and the mind that it asks."""
