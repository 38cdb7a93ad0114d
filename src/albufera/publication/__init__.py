"""F4: persistent identifiers, public metadata, landing pages, citations that strangers check."""
