"""The mind: the vision-language model in our own process. Knows prompts of words and pictures, not articles."""

from interleaf.foreign_logs import hush

hush()  # before any file here imports transformers
