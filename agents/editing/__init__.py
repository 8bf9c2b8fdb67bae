"""A finished piece changed by the block; what is outside the block stays as it is, byte for byte."""
