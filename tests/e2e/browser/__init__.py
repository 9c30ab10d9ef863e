"""The auditor's page in a real Chromium, over a trail that clients of a real Synapse have made."""
