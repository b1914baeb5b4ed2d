"""What is in the repository."""

import subprocess

from ..helpers.services import CHECKOUT


def test_no_tracked_file_is_ignored() -> None:
    """A new file beside an ignored one would be forgotten. In an archive without .git nothing is tracked."""
    if (CHECKOUT / ".git").exists():
        # Not --exclude-standard: what one developer ignores everywhere does not matter.
        command = ["git", "ls-files", "--cached", "--ignored", "--exclude-per-directory=.gitignore"]
        listed = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
        assert (listed.returncode, listed.stdout) == (0, ""), listed.stderr
