"""Where weights come from: published checkpoints, conversion, the shelf, the loading."""
