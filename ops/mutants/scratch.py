"""The copy of the tree that is mutated, built once, and tested under one mutation after the other."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

from mutations import mutated, sources

SWITCH = """import Glibc

/// Which mutation is switched on, if any. Written by ops/mutants into its copy of the tree, and nowhere else.
enum Mutant {
  private static let current = getenv("SIGNALBOX_MUTANT").map { String(cString: $0) }

  static func isOn(_ name: String) -> Bool { current == name }
}
"""


class Scratch:
    def __init__(self, root, path, prefix):
        self.root, self.path, self.prefix = root, path, prefix

    def write(self, mutations):
        """Brings the copy up to date. Files that stay as they are keep their times, so that little is built again."""
        wanted = {name: self._content(name) for name in self._names() if (self.root / name).exists()}
        for path, text in sources(self.root, mutations).items():
            wanted[path] = mutated(text, [m for m in mutations if m.path == path]).encode()
        for module in {Path(m.path).parts[1] for m in mutations}:
            wanted[f"Sources/{module}/Mutant.swift"] = SWITCH.encode()
        for name, content in wanted.items():
            self._put(name, content)
        for folder in ("Sources", "Tests", "fixtures"):
            for file in (self.path / folder).rglob("*"):
                if (file.is_file() or file.is_symlink()) and str(file.relative_to(self.path)) not in wanted:
                    file.unlink()

    def _names(self):
        listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=self.root, check=True,
                                capture_output=True, text=True).stdout
        return [name for name in listed.split("\0") if name] + ["Package.resolved"]

    def _content(self, name):
        file = self.root / name
        return os.readlink(file) if file.is_symlink() else file.read_bytes()

    def _put(self, name, content):
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            if not file.is_symlink() or os.readlink(file) != content:
                file.unlink(missing_ok=True)
                file.symlink_to(content)
        elif not file.is_file() or file.read_bytes() != content:
            file.write_bytes(content)
            file.chmod((self.root / name).stat().st_mode if (self.root / name).exists() else 0o644)

    def digest(self):
        """Names what the results are of: every source and every test."""
        hashed = hashlib.sha256()
        for folder in ("Sources", "Tests"):
            for file in sorted((self.path / folder).rglob("*.swift")):
                hashed.update(file.read_bytes())
        return hashed.hexdigest()

    def build(self):
        built = subprocess.run(["swift", "build", "--build-tests"], cwd=self.path, capture_output=True, text=True)
        if built.returncode != 0:
            errors = sorted(set(re.findall(r"^.*error: .*$", built.stdout + built.stderr, re.MULTILINE)))
            sys.exit("\n".join(errors or [built.stdout[-4000:], built.stderr[-4000:]]))

    def test_names(self):
        listed = subprocess.run(["swift", "test", "list", "--skip-build"], cwd=self.path, capture_output=True, text=True,
                                check=True)
        return listed.stdout.splitlines()

    def test(self, tests, mutation, patience):
        """Runs tests under a mutation, or under none.

        Returns what came of it, and the end of what was printed. What fails without a test to say so is unclear: a
        build that is missing would otherwise look like a mutation that was caught.
        """
        environment = {name: value for name, value in os.environ.items() if name != "SIGNALBOX_MUTANT"}
        if mutation:
            environment["SIGNALBOX_MUTANT"] = mutation
        # The test bundle itself: `swift test` takes seconds to find out that there is nothing to build.
        (bundle,) = (self.path / ".build/debug").glob("*PackageTests.xctest")
        command = ["timeout", "-k", "10", str(patience), str(bundle), "--testing-library", "swift-testing",
                   "--filter", tests]
        run = subprocess.run(self.prefix + command, cwd=self.path, env=environment, capture_output=True)
        text = re.sub(r"\x1b\[[0-9;]*m", "", (run.stdout + run.stderr).decode(errors="replace"))
        ran = re.search(r"Test run with (\d+) tests?", text)
        if run.returncode == 0:
            outcome = "passed" if ran and int(ran.group(1)) > 0 else "unclear"
        elif run.returncode in (124, 137):
            outcome = "timed out"
        elif re.search(r"^✘", text, re.MULTILINE):
            outcome = "failed"
        elif run.returncode < 0 or run.returncode > 128:
            outcome = "crashed"
        else:
            outcome = "unclear"
        failures = [line for line in text.splitlines() if re.search("✘|error:|Fatal", line)]
        return outcome, "\n".join(failures[:40] or text.splitlines()[-40:])
