"""What users see: JSON records first, terminal tables made from them."""
