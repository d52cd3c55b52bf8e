"""Ways to join two fields, one a file."""
