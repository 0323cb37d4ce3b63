"""HTML pages that need no other file.

Built as trees, so that every name is escaped and every element closed.
"""

import base64
from xml.etree import ElementTree

from dca_keras._files import write_text

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; margin: 2rem auto;
  max-width: 60rem; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; margin-bottom: 0; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; }
table { border-collapse: collapse; margin: .8rem 0;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .3rem .8rem; text-align: right; vertical-align: top;
  border-bottom: 1px solid #ddd; overflow-wrap: normal; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td small { display: block; color: #666; white-space: nowrap; }
.facts { font-size: .85rem; }
.facts span { display: inline-block; margin-right: 1.2rem; }
.warning { background: #fff3cd; border-left: .3rem solid #d9a400;
  padding: .5rem .8rem; margin: .6rem 0; }
.row { display: flex; gap: .5rem; margin-bottom: 1rem; }
.row figure { flex: 1; margin: 0; } figcaption { color: #555; }
img { max-width: 100%; } .row img { width: 100%; }
code { background: #f3f3f3; padding: .1rem .3rem; }
dt { font-weight: 600; margin-top: .5rem; } dd { margin-left: 0; }
.key { padding: .1rem .4rem; background: #333; font-weight: 600;
  display: inline-block; }
@media print { h2 { break-after: avoid; } .row { break-inside: avoid; } }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def node(tag, *children, **attributes):
    """An element.

    Args:
        tag: Its name.
        *children: Texts and elements, in their order.
        **attributes: Its attributes; `class_` is `class`.
    """
    element = ElementTree.Element(
        tag, {name.rstrip("_"): value for name, value in attributes.items()}
    )
    for child in children:
        if not isinstance(child, str):
            element.append(child)
        elif len(element):
            element[-1].tail = (element[-1].tail or "") + child
        else:
            element.text = (element.text or "") + child
    return element


def picture(png, alt):
    """A picture from the bytes of a PNG file."""
    data = base64.b64encode(png).decode("ascii")
    return node("img", src=f"data:image/png;base64,{data}", alt=alt)


def table(headings, rows, **attributes):
    """A table; headings and cells are texts or elements."""
    return node(
        "table",
        node("thead", node("tr", *(node("th", cell) for cell in headings))),
        node(
            "tbody",
            *(node("tr", *(node("td", cell) for cell in row)) for row in rows),
        ),
        **attributes,
    )


def write_page(path, title, body):
    """Writes a page, whole or not at all.

    Args:
        path: The file to write.
        title: What the browser calls it.
        body: Its elements, in their order.
    """
    head = node(
        "head",
        node("meta", charset="utf-8"),
        node(
            "meta",
            content=_POLICY,
            **{"http-equiv": "Content-Security-Policy"},
        ),
        node("meta", name="viewport", content="width=device-width"),
        node("title", title),
        node("style", _STYLE),
    )
    page = node("html", head, node("body", *body), lang="en")
    text = ElementTree.tostring(page, encoding="unicode", method="html")
    write_text(path, f"<!DOCTYPE html>\n{text}\n")
