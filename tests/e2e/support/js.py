"""matrix-js-sdk, unchanged, as a client."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from .gateway import REPOSITORY
from .synapse import User

MODULES = REPOSITORY / "tests" / ".tools" / "js"
SCRIPTS = Path(__file__).resolve().parents[1] / "js"


def run_client(base_url: str, user: User, script: str = "client.mjs") -> dict[str, Any]:
    """Runs a whole script of `js/`, and returns what it saw."""
    assert (MODULES / "node_modules/matrix-js-sdk").exists(), f"{MODULES}: `tests/run e2e` makes it"
    node = shutil.which("node")
    assert node is not None, "node is missing: `tests/run e2e` installs it"
    done = subprocess.run(
        [node, str(SCRIPTS / script), base_url, user.user_id, user.password],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "JS_MODULES": str(MODULES)},
    )
    assert done.returncode == 0, done.stderr[-5000:]
    return json.loads(done.stdout)
