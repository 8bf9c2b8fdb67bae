"""What a source says and where: documents become blocks, sentences and places in the text."""
