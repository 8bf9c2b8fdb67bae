"""What is taken in: files are sniffed, decoded, described, stored."""
