"""Readers: one per source; foreign meaning is settled at the door, and a Network comes out."""
