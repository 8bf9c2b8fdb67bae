"""The mind: the vision-language model in our own process. Knows prompts of words and pictures, not articles."""
