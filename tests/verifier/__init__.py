"""A verifier of the trail, written from `deploy/proof.md` alone.

It shares no code with the gateway, so that a mistake would have to be made twice. It reads everything
into memory, and wants nothing but Python and `cryptography`; of Postgres it asks through `psql`.

    cd tests; python -m verifier --export FILE --public-key KEY
"""
