"""Signposting (https://signposting.org/FAIR): typed links in the HTTP header, for machines."""

from albufera.publication.formats import citing, datacite, schema_org
from albufera.publication.model import PublicDataset

JSON = "application/json"
FORMATS = {
    "datacite": datacite.MEDIA_TYPE,
    "jsonld": schema_org.MEDIA_TYPE,
    "json": JSON,
    "bibtex": citing.MEDIA_TYPE,
}
"""Names of the formats in `?format=`, with their media types."""


def link_header(dataset: PublicDataset) -> str:
    """Return the value of `Link`: what to cite, what describes it, its licence, its type."""
    links = [f'<{dataset.resolver}>; rel="cite-as"']
    links += [
        f'<{dataset.url}?format={name}>; rel="describedby"; type="{media}"'
        for name, media in FORMATS.items()
    ]
    if dataset.licence_url:
        links.append(f'<{dataset.licence_url}>; rel="license"')
    links.append('<https://schema.org/Dataset>; rel="type"')
    if dataset.previous:
        links.append(f'<{dataset.previous.url}>; rel="predecessor-version"')
    if dataset.successor:
        links.append(f'<{dataset.successor.url}>; rel="successor-version"')
    return ", ".join(links)
