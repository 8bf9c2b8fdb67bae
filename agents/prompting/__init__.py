"""How a language model is asked, in the dialect of its family, and how its answers are read."""
