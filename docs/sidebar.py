"""The tree of all pages in the sidebar, made once: for each page anew it would take Sphinx longer than all the rest."""

import posixpath
import re
from typing import Any


class Sidebar:
    "The tree as HTML, of which every page gets a copy that starts from its own folder and marks the way to it."

    def __init__(self, html: str, page: str):
        "`html`: the tree as Sphinx makes it for `page`, an address from the site's root."
        self.parts = re.split(r"(<[^>]+>)", html)
        self.links: dict[int, str] = {}  # the place of a link among the parts -> address from the root
        self.around: dict[
            str, list[int]
        ] = {}  # address -> the places of its link, and of the lists and items around it
        opened: list[int] = []
        for place, part in enumerate(self.parts):
            if part.startswith(("<ul", "<li")):
                opened.append(place)
                self.parts[place] = part.replace(' class="current"', "").replace(' current"', '"')
            elif part.startswith(("</ul", "</li")):
                opened.pop()
            elif found := re.search(r'href="((?!\w+:)[^"]*)"', part):
                address = posixpath.normpath(posixpath.join(posixpath.dirname(page), found[1]))
                address = page if found[1] == "#" else address
                self.links[place] = address
                self.around[address] = [*opened, place]
                self.parts[place] = part.replace('"current ', '"')

    def of(self, page: str) -> str:
        "The tree for a page, an address from the site's root."
        parts, folder = [*self.parts], posixpath.dirname(page) or "."
        for place, address in self.links.items():
            goal = "#" if address == page else posixpath.relpath(address, folder)
            parts[place] = re.sub(r'href="[^"]*"', lambda _: f'href="{goal}"', parts[place])
        for place in self.around.get(page, []):
            parts[place] = _current(parts[place])
        return "".join(parts)


def _current(tag: str) -> str:
    "A tag of Sphinx's tree with the class of those that lead to the page, where Sphinx puts it."
    if tag.startswith("<a"):
        return tag.replace('class="', 'class="current ', 1)
    return tag.replace('">', ' current">') if "class=" in tag else tag.replace(">", ' class="current">')


class Sidebars:
    "To be called by Sphinx before the theme asks for the tree of a page."

    def __init__(self) -> None:
        self.made: dict[tuple, Sidebar] = {}  # by the options with which they were asked for

    def __call__(self, app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
        if "toctree" not in context:
            return
        make, address = context["toctree"], app.builder.get_target_uri(page)

        def tree(**options: Any) -> str:
            wanted = tuple(sorted(options.items()))
            if wanted not in self.made:
                self.made[wanted] = Sidebar(make(**options), address)
            return self.made[wanted].of(address)

        context["toctree"] = tree
