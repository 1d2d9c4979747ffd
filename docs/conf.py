"""How Sphinx makes the documentation a site: `make site`. Its source is the repository, so that all links hold."""

from importlib.metadata import version as installed

project = "tidings"
author = "tidings"
version = release = installed("tidings")
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/*.md", "docs/**/*.md", "plugins/*/README.md", "clients/*/README.md"]
include_patterns += ["examples/*/README.md"]
exclude_patterns = ["docs/generator"]
myst_heading_anchors = 6  # links to headings are those of the repository's pages
highlight_language = "text"
html_theme = "furo"
html_title = f"tidings {version}"
html_show_copyright = False
html_copy_source = False
html_use_index = False
