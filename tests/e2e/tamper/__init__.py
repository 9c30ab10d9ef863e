"""The attack from inside: whoever may change the database changes it, and two verifiers must see it."""
