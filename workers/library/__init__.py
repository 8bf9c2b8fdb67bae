"""What the library worker does: keeps libraries open, answers for those who wait, removes what was deleted."""
