"""The episode format: writing, reading, recovering, labelling, exporting."""
