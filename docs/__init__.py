"Parts of `scripts/build_docs.py`: notebooks with outputs, pages, Sphinx's configuration, the check of links."
