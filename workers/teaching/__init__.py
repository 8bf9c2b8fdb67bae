"""Lessons for a model, made from finished articles."""
