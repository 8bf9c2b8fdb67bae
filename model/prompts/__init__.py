"""What a model is shown: words, pictures and videos become tokens and tiles."""
