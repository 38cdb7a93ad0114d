"""DICOMweb, always through the policy."""
