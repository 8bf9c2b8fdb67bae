"""The press: an article becomes a page, a bundle, a document."""
