"""What writes the generated parts of the pages, a module for each source."""
