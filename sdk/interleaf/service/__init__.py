"""The client of the service: orders, events, files, sent again where that is safe."""
