"""The network itself: decoder, picture tower, low-rank paths, cache."""
