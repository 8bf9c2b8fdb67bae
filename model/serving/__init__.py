"""Chat completions over HTTP for existing clients."""
