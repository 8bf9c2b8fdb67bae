"""Nearest neighbours and words: encoders, indexes, fusion of their scores."""
