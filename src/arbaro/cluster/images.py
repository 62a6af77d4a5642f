# SPDX-License-Identifier: Apache-2.0
"""Host images: which there are, what each is made of, and in which order they are baked.

base (mmdebstrap) → controller, compute, … (base and the very roles that configure any other host). A cloud starts from
them within seconds, because packages, schemas and configuration are there; docs/decisions/0003-baked-images.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from arbaro.cluster import baking, machine_parts, playbooks
from arbaro.cluster.agents import agent_image, agents_dir
from arbaro.cluster.buildkey import apt_parts, digest
from arbaro.cluster.built import Built
from arbaro.cluster.drivers import NETWORK_DRIVERS
from arbaro.cluster.providers import HostKind, Provider
from arbaro.cluster.recipes import SITE, Recipe, image_name, plays_of, roles_of
from arbaro.hosts import COMPUTE, CONTROLLER, MACHINES, RACK, TOR, Host
from arbaro.releases import Release
from arbaro.settings import files_dir
from arbaro.steps import Step

#: A controller with the service for physical machines: a thin layer on the controller's image.
WITH_MACHINES = "controller-machines"
IMAGES = (CONTROLLER, COMPUTE, TOR, RACK, WITH_MACHINES)
#: Seconds that each takes to bake on the reference machine.
EXPECTED = {CONTROLLER: 330, COMPUTE: 240, TOR: 60, RACK: 120, WITH_MACHINES: 90}
#: So few machines need not be spared: nova looks at them often.
LOOK_INTERVAL = {"nova_compute_machines_look_interval": 10}


@dataclass(frozen=True)
class HostImages:
    """The images for one release and network driver. `machines` asks for those that physical machines need too."""

    release: Release
    network: str
    kind: HostKind
    machines: bool = False

    @property
    def base(self) -> str:
        """The bare Debian that all roles start from."""
        return image_name("base", [*apt_parts(self.release.suite), digest([files_dir() / "images/hosts/base"])])

    @cached_property
    def recipes(self) -> Mapping[str, Recipe]:
        """What each image is made of, by its name without the key."""
        tor = [self._recipe(TOR)] if NETWORK_DRIVERS[self.network].tors else []
        agents = {name: built.path.stem for name, built in self.agents.items()}
        compute = self._recipe(COMPUTE, variables=agents, places={"agent_images_dir": agents_dir()})
        recipes = {recipe.image: recipe for recipe in (self._recipe(CONTROLLER), compute, *tor)}
        if self.machines:
            recipes[RACK] = self._recipe(RACK, places=self._paths("machines_emulated_bundle"))
            recipes[WITH_MACHINES] = self._machines_layer(recipes[CONTROLLER])
        return recipes

    def name(self, host: Host) -> str:
        """The image that this host starts from."""
        return self.recipes[WITH_MACHINES if host.is_a(MACHINES) else host.role].name

    @property
    def names(self) -> list[str]:
        """All images that hosts start from, with their keys."""
        return [recipe.name for recipe in self.recipes.values()]

    @property
    def agents(self) -> dict[str, Built]:
        """The images of the agents that computes run in containers, by the variables that name them."""
        drivers = NETWORK_DRIVERS[self.network].agents
        return {f"{agent}_agent_image": agent_image(agent, self.release.suite) for agent in drivers}

    @property
    def parts(self) -> dict[str, Built]:
        """What is brought to hosts because of physical machines, by the variables that say where it is."""
        if not self.machines:
            return {}
        return {
            "machines_bundle": machine_parts.service(),
            "machines_ramdisk": machine_parts.ramdisk(self.release.suite),
            "machines_emulated_bundle": machine_parts.emulator(),
        }

    def steps(self, provider: Provider, *others: Step) -> list[Step | list[Step]]:
        """How the images come to be: the base and what others bring first, then the hosts', a layer last.

        An image that the provider has is not baked. The steps `others` have nothing to do with images; they are done
        while there is time.
        """
        lacking = cache(lambda: self._lacking(provider))

        def if_lacking(step: Step) -> Step:
            return replace(step, needed=lambda: bool(lacking()) and step.needed())

        def bake(recipe: Recipe) -> Step:
            def needed() -> bool:
                return recipe.image in lacking() and not baking.exists(recipe.name)

            title = f"Bake the {recipe.image} image"
            return Step(title, needed, lambda note: baking.bake(recipe, note), recipe.expected)

        brought = (built.step() for built in (*self.agents.values(), *self.parts.values()))
        layers = [recipe for recipe in self.recipes.values() if recipe.parent != self.base]
        return [
            [
                if_lacking(Step("Build the base image", lambda: not baking.exists(self.base), self._build_base, 55)),
                *map(if_lacking, brought),
                *others,
            ],
            if_lacking(baking.make_build_network()),
            [bake(recipe) for recipe in self.recipes.values() if recipe not in layers],
            *([[bake(recipe) for recipe in layers]] if layers else []),
        ]

    def _lacking(self, provider: Provider) -> set[str]:
        """The images that are to be baked: those that the provider lacks, and what a layer among them is baked on."""
        lacking = {image for image, recipe in self.recipes.items() if not provider.has_image(recipe.name)}
        parents = {self.recipes[image].parent for image in lacking} - {self.base}
        named = {recipe.name: image for image, recipe in self.recipes.items()}
        return lacking | {named[parent] for parent in parents if not baking.exists(parent)}

    @property
    def variables(self) -> dict[str, Any]:
        """The variables that all images depend on."""
        return playbooks.image_variables(self.release.name, self.network, self.kind)

    @property
    def inventory_variables(self) -> dict[str, Any]:
        """The variables that all hosts together depend on, with paths on this machine."""
        agents = {name: built.path.stem for name, built in self.agents.items()}
        places = {name: str(path) for name, path in self._paths(*self.parts).items()}
        return self.variables | agents | {"agent_images_dir": str(agents_dir())} | places | LOOK_INTERVAL

    def _recipe(
        self, role: str, *, variables: Mapping[str, Any] | None = None, places: Mapping[str, Path] | None = None
    ) -> Recipe:
        """The recipe of hosts that have only this role, baked on the base."""
        return Recipe(
            role,
            parent=self.base,
            role=role,
            groups=frozenset({role}),
            playbook="image.yml",
            release=self.release.name,
            roles=tuple(roles_of(plays_of(SITE), role, self.network)),
            variables={**self.variables, **(variables or {})},
            places=places or {},
            expected=EXPECTED[role],
        )

    def _machines_layer(self, controller: Recipe) -> Recipe:
        return Recipe(
            WITH_MACHINES,
            parent=controller.name,
            role=CONTROLLER,
            groups=frozenset({CONTROLLER, MACHINES}),
            playbook="layer.yml",
            release=self.release.name,
            roles=tuple(roles_of(plays_of(SITE), MACHINES, self.network)),
            variables=self.variables | LOOK_INTERVAL,
            places=self._paths("machines_bundle", "machines_ramdisk"),
            expected=EXPECTED[WITH_MACHINES],
        )

    def _paths(self, *names: str) -> dict[str, Path]:
        return {name: self.parts[name].path for name in names}

    def _build_base(self, note: Any) -> None:
        baking.build_base(self.base, self.release.suite, note)


def clean_after_builds() -> Step:
    """The step that removes what builds left behind, also killed ones."""
    return baking.clean_after_builds(IMAGES)
