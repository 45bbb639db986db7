"""Sphinx configuration; what is built from the package itself (tables, API pages) is in ``ext/``."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "ext"))

import scinn  # noqa: E402

project = "scinn"
author = "The scinn developers"
copyright = "2026, the scinn developers"
version = release = scinn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
    "sphinx_click",
    "api_pages",
    "mathml",
    "results_tables",
]
exclude_patterns = ["_build", "**/_template_*", "gallery/*.ipynb", "gallery/*.py", "results/**"]
templates_path = ["_templates"]
suppress_warnings = ["config.cache"]

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

bibtex_bibfiles = ["../scinn/references.bib"]
bibtex_default_style = "unsrt"
bibtex_reference_style = "author_year"

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": ["../examples"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"/plot_",
    "within_subsection_order": "NumberOfCodeLinesSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "capture_repr": (),
    "image_scrapers": ("matplotlib",),
    "reset_modules": ("matplotlib",),
    "plot_gallery": True,
}

html_math_renderer = "mathml"
# Quotes and dashes of a command line must survive a copy.
smartquotes = False
html_theme = "pydata_sphinx_theme"
html_title = "scinn"
html_static_path = ["_static"]
html_css_files = ["scinn.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "scinn"},
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": ["theme-version"],
}
_SINGLE = (
    "index",
    "install",
    "papers/*",
    "coming_from",
    "verify",
    "benchmarks",
    "cli",
    "architecture",
    "add_a_paper",
    "references",
)
html_sidebars = {page: [] for page in _SINGLE}
