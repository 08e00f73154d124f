"""How values and files are written."""
