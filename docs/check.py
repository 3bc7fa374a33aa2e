"Does every link and picture of a built site lead somewhere, and does any page name a folder of this machine?"

import os
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED_LINKS = {"stylesheet", "icon", "shortcut icon", "preload", "next", "prev", "search", "index"}


class Page(HTMLParser):
    "The anchors of a page, the pages that it links to, and the files that it loads."

    def __init__(self, text: str):
        super().__init__()
        self.anchors, self.links, self.loaded = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag in ("a", "area") and "href" in values:
            self.links.append(values["href"])
        if tag == "link" and values.get("rel") in LOADED_LINKS:
            self.loaded.append(values.get("href", ""))
        self.loaded += [values[name] for name in ("src", "poster") if name in values]
        self.loaded += [part.split()[0] for part in values.get("srcset", "").split(",") if part.strip()]


def check_site(site: Path, folders: list[str]) -> list[str]:
    "A sentence for each link or picture that leads nowhere, file from the network, folder that a page names."
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(site.rglob("*.html"))}
    pages = {path: Page(text) for path, text in texts.items()}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site)
        for link in dict.fromkeys([*page.links, *page.loaded]):
            if problem := broken(link, path, pages):
                found.append(f"{name} refers to {link}, {problem}.")
        found += [
            f"{name} loads {link}, and the site must work without network."
            for link in dict.fromkeys(page.loaded)
            if urlsplit(link).netloc
        ]
        found += [
            f"{name} names a folder of this machine, {folder}." for folder in folders if folder in texts[path]
        ]
    return found


def broken(link: str, path: Path, pages: dict[Path, Page]) -> str:
    "Why a link on the page `path` leads nowhere, or an empty text; other sites are not asked."
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return ""
    target = Path(os.path.normpath(path.parent / unquote(parts.path))) if parts.path else path
    target = target / "index.html" if target.is_dir() else target
    if not target.exists():
        return "which does not exist"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return f"but that page has no #{anchor}"
    return ""


def machine_folders(root: Path) -> list[str]:
    "Folders that no page may name: the clone, the environment, the home and the temporary folder."
    folders = {str(root), sys.prefix, str(Path.home()), tempfile.gettempdir()}
    return sorted(f"{folder}/" for folder in folders if len(folder) > 1)
