"""What words are worth: likeness, relevance, redundancy, and what a pronoun stands for."""
