"""The attack from outside: faults under load, and three sources that must agree afterwards."""
