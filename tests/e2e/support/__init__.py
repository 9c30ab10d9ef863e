"""What the end-to-end tests stand on: Synapse, Postgres, the gateway, and raw HTTP."""
