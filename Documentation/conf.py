# SPDX-License-Identifier: GPL-2.0-only
#
# make htmldocs: the project's pages by Sphinx.  They link to each other by the
# names of their files, so that they can be read where they lie as well; here
# that becomes a reference that Sphinx resolves, or complains of.

import re

from docutils import nodes
from sphinx import addnodes

project = 'kvm-lifecycle'
root_doc = 'virt/kvm/index'
highlight_language = 'none'


def link_pages(app, doctree):
    for link in list(doctree.findall(nodes.reference)):
        uri = link.get('refuri', '')
        if not re.fullmatch(r'[\w./-]+\.rst', uri):
            continue
        page = addnodes.pending_xref('', *link.children, refdoc=app.env.docname, refdomain='std',
                                     reftype='doc', reftarget=uri[:-len('.rst')],
                                     refexplicit=True, refwarn=True)
        link.replace_self(page)


def setup(app):
    app.connect('doctree-read', link_pages)
