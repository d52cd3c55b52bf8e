"""Images of a volume as CT, MR and ultrasound scanners make them."""
