# SPDX-License-Identifier: Apache-2.0
"""Agent images: what a network agent's containers run, a root file system that is built here (images/agents/)."""

from pathlib import Path

from arbaro import shell
from arbaro.cluster.buildkey import apt_parts
from arbaro.cluster.built import Built, write_apt_files
from arbaro.cluster.recipes import plugin_files
from arbaro.settings import cache_dir, files_dir
from arbaro.steps import Note


def agent_image(agent: str, suite: str) -> Built:
    """The image of one agent for one Debian suite, a tar archive; hypervisors know it by the stem of its name."""
    recipe = Path("images/agents") / agent

    def make(tree: Path, out: Path, note: Note) -> None:
        sources, options = write_apt_files(out.parent, suite)
        shell.run([tree / recipe / "build", out, sources, options, suite], timeout=900, on_line=note)

    files = [files_dir() / recipe, *plugin_files(agent)]
    title = f"Build the image of the agent {agent}"
    return Built(title, agents_dir(), agent, files, apt_parts(suite), make, expected=75, suffix=".tar")


def agents_dir() -> Path:
    """Where built images are."""
    return cache_dir() / "agents"
