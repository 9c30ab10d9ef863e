"""Sealing under everything that goes wrong: crashes, crowds, outages, restores and tampering."""
