"""Teaching by low-rank adapters: lessons, steps, state, loss."""
