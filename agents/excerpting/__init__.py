"""From an outline to a draft: which sentences of the notes are taken, in which order."""
