"""From notes to an outline: topics, chapters, allotments."""
