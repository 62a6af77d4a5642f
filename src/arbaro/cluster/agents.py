# SPDX-License-Identifier: Apache-2.0
"""Agent images: what a network agent's containers run, a root file system that is built here (images/agents/)."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from arbaro import shell
from arbaro.cluster import aptsources
from arbaro.cluster.keys import digest, key_of
from arbaro.errors import CommandError
from arbaro.settings import cache_dir, files_dir
from arbaro.steps import Note, Step


@dataclass(frozen=True)
class AgentImage:
    """The image of one agent for one Debian suite; its name ends with the key of everything that goes into it."""

    agent: str
    suite: str

    @property
    def name(self) -> str:
        """Name and key, as the hypervisors know it."""
        sources = [str(source) for source in aptsources.machine_sources(self.suite)]
        content = digest([self.recipe, files_dir() / "plugins" / self.agent / f"arbaro_{self.agent}"])
        return f"{self.agent}-{key_of([*sources, *aptsources.machine_apt_options(), content])}"

    @property
    def recipe(self) -> Path:
        """The directory with the recipe."""
        return files_dir() / "images/agents" / self.agent

    @property
    def file(self) -> Path:
        """The built image, a tar archive; it is there only when it is complete."""
        return agents_dir() / f"{self.name}.tar"

    def step(self) -> Step:
        """How it is built, where it is missing."""
        return Step(f"Build the image of the agent {self.agent}", lambda: not self.file.exists(), self._build, 75)

    def _build(self, note: Note) -> None:
        agents_dir().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=agents_dir(), prefix=".new-") as directory:
            scratch = Path(directory)
            sources, options, archive = (scratch / name for name in ("sources.list", "90machine", "image.tar"))
            sources.write_text("".join(f"{source}\n" for source in aptsources.machine_sources(self.suite)))
            options.write_text("".join(f"{line}\n" for line in aptsources.machine_apt_options()))
            try:
                shell.run([self.recipe / "build", archive, sources, options, self.suite], timeout=900, on_line=note)
            except CommandError as error:
                error.what = f"The image of the agent {self.agent} could not be built."
                error.hint = "See that `apt-get update` works here (mirror, proxy), then run the same command again."
                raise
            archive.rename(self.file)


def agents_dir() -> Path:
    """Where built images are."""
    return cache_dir() / "agents"


def prune_agents(keep: set[str], *, dry_run: bool = False) -> list[str]:
    """Remove built images that are not in `keep`; returns their names."""
    old = [path for path in agents_dir().glob("*.tar") if path.stem not in keep]
    for path in old if not dry_run else ():
        path.unlink()
    return [path.stem for path in old]
